import Analysis
import Files
import Foundation
import Records
import Reporting
import Testing

/// Structure of the report, not its looks: those are judged by eye.
@Suite struct HTMLReportTests {
    static let abstained = HTMLReport.page(
        layers: Fixtures.layers(), split: Fixtures.abstained(), run: Fixtures.run,
        passes: declarations)
    static let proposed = HTMLReport.page(
        layers: Fixtures.layers(Fixtures.olmoDistances), split: Fixtures.proposed,
        run: Fixtures.run, passes: declarations)

    @Test(arguments: [true, false]) func isWellFormedAndSelfContained(abstains: Bool) {
        let page = abstains ? Self.abstained : Self.proposed
        let reader = PageReader(page)
        #expect(reader.problem == nil)
        #expect(reader.loadedResources.isEmpty)
        #expect(!page.contains("@import") && !page.contains("url("))
        // Addresses stand in links to papers and in the SVG name space only.
        let links = reader.elements.filter { $0.name == "a" }.compactMap { $0.attributes["href"] }
        let addresses = page.components(separatedBy: "://").count - 1
        let namespaces = reader.values("xmlns").count
        #expect(addresses == links.count { $0.hasPrefix("https://") } + namespaces)
    }

    @Test(arguments: [true, false]) func everyPictureHasAName(abstains: Bool) {
        let page = abstains ? Self.abstained : Self.proposed
        let reader = PageReader(page)
        let identifiers = Set(reader.values("id"))
        #expect(identifiers.count == reader.values("id").count, "ids are unique")
        let pictures = reader.elements.filter { $0.name == "svg" }
        #expect(pictures.count == 17)
        for picture in pictures {
            #expect(picture.attributes["role"] == "img")
            if let names = picture.attributes["aria-labelledby"] {
                #expect(names.split(separator: " ").allSatisfy { identifiers.contains(String($0)) })
            } else {
                #expect(picture.attributes["aria-label"]?.isEmpty == false)
            }
        }
        let anchors = reader.elements.filter { $0.name == "a" }
            .compactMap { $0.attributes["href"] }.filter { $0.hasPrefix("#") }
        #expect(anchors.count == 9)
        #expect(anchors.allSatisfy { identifiers.contains(String($0.dropFirst())) })
    }

    @Test func everyMeasuredValueAppears() {
        let layers = Fixtures.layers()
        let text = PageReader(Self.abstained).text
        for values in layers.layers.map(\.metrics) + layers.boundaries.map(\.metrics) {
            for (name, estimate) in values {
                let mean = NumberText.significant(estimate.mean)
                // Some values, those of the whole run, have no error.
                let error = estimate.standardError.map { " ± \(NumberText.error($0))" } ?? ""
                #expect(text.contains(mean + error), "\(name)")
            }
        }
        for metric in declarations.metrics(.layer) + declarations.metrics(.boundary) {
            #expect(text.contains(metric.title))
            #expect(text.contains(metric.explanation.split(separator: " ").joined(separator: " ")))
        }
    }

    @Test func everyFactOfTheRunAppears() {
        let text = PageReader(Self.abstained).text
        for fact in [
            "models/smollm2-135m-instruct.gguf", "llama", "49,152", "134.5 million", "6,144",
            Fixtures.model(layers: 30).fingerprint, "0.41 s",
            "3 min 07 s", "1.20 GiB", "SkylakeX", "lens at L equals the logits", "3.40e-6",
            "✓ passed", "51a4bb02c7", "0.3.21", "2026-11-23T21:04:11Z",
            #"etd-analyze probe --model models/smollm2-135m-instruct.gguf --out 'runs/it'\''s here'"#,
        ] {
            #expect(text.contains(fact), "\(fact)")
        }
    }

    @Test func anAbstentionGivesReasonAndRankedAlternatives() throws {
        let text = PageReader(Self.abstained).text
        #expect(text.contains("No split proposed"))
        #expect(text.contains("its think block is 27 of 30 layers, more than half the model."))
        #expect(text.contains("by itself proposes 2-27*k-1"))
        let leading = try #require(Fixtures.abstained().alternatives.first)
        #expect(text.contains("Leading alternative: \(leading.split.notation)"))
        for alternative in Fixtures.abstained().alternatives {
            #expect(text.contains(alternative.split.notation))
        }
        // An abstention must not paint an encoder and a decoder.
        let classes = PageReader(Self.abstained).values("class")
        #expect(classes.contains("zone zone-candidate"))
        #expect(!classes.contains { $0.contains("zone-think") || $0.contains("zone-encoder") })
    }

    @Test func aProposalGivesNotationConfidenceAndZones() {
        let reader = PageReader(Self.proposed)
        #expect(reader.text.contains("Verdict 7-4*k-5 Layers 0–6 encode; layers 7–10 think"))
        #expect(reader.text.contains("87 % of resamples of documents give a think block"))
        #expect(reader.text.contains("Recommended: k = 3, at most 5."))
        #expect(!reader.text.contains("No split proposed"))
        let cells = reader.values("class").filter { $0.hasPrefix("cell ") }
        #expect(cells.count { $0 == "cell zone-encoder" } == 7)
        #expect(cells.count { $0 == "cell zone-think" } == 4)
        #expect(cells.count { $0 == "cell zone-decoder" } == 5)
        #expect(reader.text.contains("3.310e9") && reader.text.contains("192 KiB"))
    }

    @Test func kneedleIsDrawnWithThresholdAndKnee() {
        let text = PageReader(Self.abstained).text
        #expect(text.contains("Knee at 2") && text.contains("Threshold 0.861"))
        #expect(text.contains("The knee at 1 gives a decoder of 1."))
        #expect(text.contains("Sensitivity S = 1.0"))
    }

    @Test(
        "Whatever a split file holds as Kneedle's values, a page comes out",
        arguments: [
            .null, [], ["forward": 3], ["forward": ["x": []]],
            ["forward": ["x": [0, 1, nil], "difference": ["a", 1.0, 2]]],
            ["forward": ["x": [0, 0.5, 1], "difference": [0, 0.4, 0], "knee": 1]],
            ["forward": ["x": [0, 1], "normalized": [0, 1], "knee": 99, "threshold": nil]],
        ] as [JSON])
    func toleratesPartialEvidence(values: JSON) {
        var split = Fixtures.abstained()
        split.evidence["kneedle"] = .init(proposal: nil, values: values)
        let reader = PageReader(
            HTMLReport.page(layers: Fixtures.layers(), split: split, run: nil, passes: declarations)
        )
        #expect(reader.problem == nil)
        #expect(reader.text.contains("by itself proposes nothing"))
        #expect(reader.text.contains("(no run.json)"))
    }

    @Test func namesWhatWasNotMeasured() {
        var layers = Fixtures.layers()
        layers.boundaries = []
        for index in layers.layers.indices {
            layers.layers[index].metrics["contribution"] = nil
            layers.layers[index].metrics["contribution_cosine"] = Estimate(
                mean: nil, standardError: nil)
        }
        let reader = PageReader(
            HTMLReport.page(
                layers: layers, split: Fixtures.abstained(), run: nil, passes: declarations))
        #expect(reader.problem == nil)
        #expect(
            reader.text.contains("Not measured in this run: Contribution, Contribution cosine."))
        #expect(reader.text.contains("Not measured in this run: Lens entropy, KL(lens‖output)"))
        #expect(!reader.values("id").contains("entropy-title"))
        #expect(reader.values("id").contains("influence-title"))
    }

    @Test func theGeometryIsDrawnAndLeftOutWhereItWasNotMeasured() {
        var layers = Fixtures.layers()
        let page = PageReader(
            HTMLReport.page(
                layers: layers, split: Fixtures.abstained(), run: nil, passes: declarations))
        #expect(page.problem == nil)
        for id in ["effective-rank", "prompt-entropy", "curvature", "cka"] {
            #expect(page.values("id").contains("\(id)-title"), "\(id)")
        }
        let pairs = layers.boundaries.count * layers.boundaries.count
        #expect(page.values("opacity").count >= pairs)
        #expect(page.text.contains("Neighbours differ most at boundaries 0 and 1: 0.990."))

        layers.matrices["cka"]?[3][4] = nil
        layers.matrices["cka"]?[4][3] = 0.5
        let gap = PageReader(
            HTMLReport.page(
                layers: layers, split: Fixtures.abstained(), run: nil, passes: declarations))
        #expect(gap.problem == nil)
        #expect(
            gap.values("opacity").count < page.values("opacity").count
        )

        layers.matrices["cka"] = nil
        for index in layers.boundaries.indices {
            for metric in MeasuringPass.geometry.declaration.metrics {
                layers.boundaries[index].metrics[metric.name] = nil
            }
        }
        let without = PageReader(
            HTMLReport.page(
                layers: layers, split: Fixtures.abstained(), run: nil, passes: declarations))
        #expect(without.problem == nil)
        #expect(!without.values("id").contains("geometry"))
    }

    /// Where a mean and its twin differ is said in words and drawn; where none does, that is said.
    @Test func sinksAreCountedAndTheirEffectIsShown() {
        var layers = Fixtures.layers()
        layers.sinks = SinksRecord(policy: .drop, positions: 6_144, first: 12, massive: 3)
        for index in layers.layers.indices {
            let metrics = layers.layers[index].metrics
            for metric in declarations.metrics(.layer) where metric.isOverPositions {
                layers.layers[index].metrics[metric.withoutSinks.name] = metrics[metric.name]
            }
        }
        func page() -> PageReader {
            PageReader(
                HTMLReport.page(
                    layers: layers, split: Fixtures.abstained(), run: nil, passes: declarations))
        }
        let alike = page()
        #expect(alike.problem == nil)
        let counts = "Of 6,144 positions, 12 first positions of documents and 3 massive ones"
        #expect(alike.text.contains(counts))
        #expect(alike.text.contains("The geometry leaves them out."))
        #expect(alike.text.contains("No mean over positions of this run changes"))
        #expect(!alike.values("id").contains { $0.hasPrefix("sinks-") && $0.hasSuffix("-title") })

        // Less than a twentieth of a layer's own contribution, however much more than another's.
        layers.layers[0].metrics["contribution"]?.mean = 6.5
        for (index, value) in [(11, 40.0), (12, 6.0), (13, 5.5), (29, 3.25)] {
            layers.layers[index].metrics["contribution"] = Estimate(
                mean: value, standardError: 0.5)
        }
        let moved = page()
        #expect(moved.problem == nil)
        #expect(
            moved.text.contains(
                "Contribution differs at layers 11–13, 29, most at layer 11: 40.0 over all positions"
            ))
        let cosine = layers.layers[4].metrics["contribution_cosine"]?.mean ?? 0
        layers.layers[4].metrics["contribution_cosine"]?.mean = cosine + 0.25
        #expect(page().text.contains("Contribution cosine differs at layer 4: "))
        #expect(moved.values("id").contains("sinks-contribution-title"))
        #expect(!moved.values("id").contains("sinks-block_influence-title"))

        layers.sinks = SinksRecord(policy: .keep, positions: 6_132, first: 0, massive: 1)
        let kept = page().text
        #expect(kept.contains("Of 6,132 positions, 1 massive position ("))
        #expect(kept.contains("The geometry keeps them (--sinks keep)."))

        layers.sinks = nil
        let old = page()
        #expect(old.text.contains("This run's geometry includes attention sinks"))
        #expect(!old.values("id").contains("sinks"))
    }

    @Test func showsMetricsOfPassesItDoesNotKnow() {
        var layers = Fixtures.layers()
        layers.layers[3].metrics["probe_selectivity"] = Estimate(mean: 0.4242, standardError: nil)
        layers.layers[3].scores["rank_score"] = 7.125
        let text = PageReader(
            HTMLReport.page(
                layers: layers, split: Fixtures.abstained(), run: nil, passes: declarations)
        ).text
        #expect(text.contains("probe selectivity") && text.contains("0.4242"))
        #expect(text.contains("Rank score") && text.contains("7.125"))
    }

    @Test(arguments: [0, 1, 2, 80]) func anyDepthGivesAPage(count: Int) {
        let distances = (0..<count).map { 0.1 + 0.3 / Double($0 + 1) }
        let page = HTMLReport.page(
            layers: count == 0
                ? LayersRecord(
                    model: Fixtures.model(layers: 0), data: Fixtures.data, precision: "f32",
                    layers: [], boundaries: []) : Fixtures.layers(distances),
            split: Fixtures.abstained(distances), run: nil, passes: declarations)
        #expect(PageReader(page).problem == nil)
        #expect(!page.contains("nan") && !page.contains("inf\""))
    }

    @Test(arguments: [1e-300, 1e-12, 1e12, 1e300, .infinity, .nan])
    func anyMagnitudeGivesAPage(value: Double) {
        var layers = Fixtures.layers([0.3, 0.2, 0.1, 0.2])
        for name in declarations.metrics(.layer).map(\.name) {
            layers.layers[1].metrics[name] = Estimate(mean: value, standardError: value / 3)
            layers.layers[2].metrics[name] = Estimate(mean: -value, standardError: value)
        }
        let page = HTMLReport.page(
            layers: layers, split: Fixtures.abstained([0.3, 0.2, 0.1, 0.2]), run: nil,
            passes: declarations)
        let reader = PageReader(page)
        #expect(reader.problem == nil)
        let coordinates = ["x", "y", "width", "height", "cx", "cy", "d"].flatMap(reader.values)
        #expect(!coordinates.contains { $0.contains("n") || $0.contains("i") })
    }

    @Test func hostileTextStaysText() {
        let hostile =
            "m/</title><script>alert(1)</script>\"' onload=x &amp; \u{0}\u{1B}[31m\u{202E}"
        var split = Fixtures.abstained()
        split.abstention = hostile
        split.method = hostile
        split.createdBy = hostile
        split.evidence[hostile] = .init(proposal: nil, values: .string(hostile))
        var run = Fixtures.run
        run.arguments = [hostile]
        run.versions[hostile] = hostile
        run.selfChecks.append(.init(name: hostile, value: .nan, limit: 1))
        let page = HTMLReport.page(
            layers: Fixtures.layers(path: hostile), split: split, run: run, passes: declarations)
        let reader = PageReader(page)
        #expect(reader.problem == nil)
        #expect(reader.count("script") == 1)
        #expect(reader.values("onload").isEmpty)
        #expect(reader.text.contains("<script>alert(1)</script>"))
        // A check whose value is no number has not passed.
        #expect(reader.text.contains("✗ failed"))
    }

    @Test func sameRecordsGiveSameBytes() {
        for _ in 0..<3 {
            #expect(
                HTMLReport.page(
                    layers: Fixtures.layers(), split: Fixtures.abstained(), run: Fixtures.run,
                    passes: declarations)
                    == Self.abstained)
        }
    }
}
