// Which name is suggested for one that is none.

import Files
import Testing

@Suite struct NearestNameTests {
    @Test(arguments: [
        ("prob", "probe"), ("--modle", "--model"), ("HELLASWAG", "hellaswag"),
        ("bbh_navigat", "bbh_navigate"), ("eval", "evaluate"),
        // Two neighbours swapped count once, an edit for each three letters is allowed.
        ("porbe", "probe"), ("arc_esy", "arc_easy"),
    ])
    func aNameNearby(given: String, wanted: String) {
        let known = [
            "probe", "--model", "bbh", "hellaswag", "bbh_navigate", "evaluate", "arc_easy",
            "--split",
        ]
        #expect(NearestName.of(given, among: known) == wanted)
    }

    @Test(arguments: ["--limit", "xyz", "", "ab"])
    func nothingIsNear(given: String) {
        #expect(NearestName.of(given, among: ["--split", "probe", "abcdef"]) == nil)
    }
}
