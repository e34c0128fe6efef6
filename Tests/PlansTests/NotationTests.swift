// Plans as text: what is written is read back as the same plan, and what is wrong is named.

import Plans
import TestSupport
import Testing

@Suite struct NotationTests {
    @Test(
        arguments: [
            (
                "7-4*3-5",
                [0, 1, 2, 3, 4, 5, 6] + [7, 8, 9, 10, 7, 8, 9, 10, 7, 8, 9, 10]
                    + [11, 12, 13, 14, 15]
            ),
            ("0-2*2-0", [0, 1, 0, 1]),
            ("0..2,4..5", [0, 1, 2, 4, 5]),
            ("3", [3]),
            ("0,2..3*2,5", [0, 2, 3, 2, 3, 5]),
            ("0,(1,3)*2,4", [0, 1, 3, 1, 3, 4]),
            ("2,1,0", [2, 1, 0]),
            ("none", []),
        ] as [(String, [Int])])
    func readsAndWrites(text: String, layers: [Int]) throws {
        let plan = try LayerPlan(notation: text)
        #expect(plan.steps.map(\.layer) == layers)
        #expect(plan.notation == text)
    }

    @Test func theBaseModelIsAListOfItsLayers() throws {
        #expect(LayerPlan.identity(layers: 16).notation == "0..15")
        #expect(try LayerPlan(notation: "7-4*1-5") == .identity(layers: 16))
        #expect(LayerPlan.identity(layers: 16).split == nil)
    }

    @Test func everyPlanComesBack() throws {
        var random = SeededRandom(7)
        var notations: Set<String> = []
        for _ in 0..<500 {
            let parts = (0..<Int.random(in: 0...5, using: &random)).map { _ in
                let start = Int.random(in: 0...20, using: &random)
                let layers: [Int] =
                    Bool.random(using: &random)
                    ? Array(start...start + Int.random(in: 0...6, using: &random))
                    : (0..<Int.random(in: 0...4, using: &random)).map { _ in
                        Int.random(in: 0...30, using: &random)
                    }
                return LayerPlan.Part(
                    layers, iterations: Int.random(in: 1...3, using: &random))
            }
            let plan = try LayerPlan(parts: parts)
            #expect(try LayerPlan(notation: plan.notation) == plan, "\(plan.notation)")
            notations.insert(plan.notation)
        }
        #expect(notations.count > 300)
    }

    @Test(arguments: [
        ("", "a layer is missing"), ("a", "a layer is missing"), ("0..", "the last layer"),
        ("5..3", "5..3 runs backwards"), ("0,,1", "a layer is missing"),
        ("(0,1*2", "a ) is missing"), ("0..3*", "the number after *"),
        ("0..3*0", "at least once"), ("0..3 ", "\" \" is not expected here"),
        ("7-4-5", "does not say how often"), ("7-4*k-5", "does not say how often"),
        ("99999999999999999999", "above 1000000"), ("0..3*2*2", "\"*2\" is not expected here"),
    ])
    func saysWhatIsWrong(text: String, problem: String) throws {
        let error = #expect(throws: PlanError.self) { try LayerPlan(notation: text) }
        let message = "\(try #require(error))"
        #expect(message.contains(problem), "\(message)")
        #expect(!message.contains("\n"))
    }

    @Test(arguments: ["7-4*16385-5", "0..99*1000", "0..1000000", "0*999999", "0-1*1000000-1"])
    func plansHaveABound(text: String) throws {
        let error = #expect(throws: PlanError.self) { try LayerPlan(notation: text) }
        guard case .tooManySteps? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect("\(try #require(error))".contains("65536"))
    }

    @Test func theBoundItselfRuns() throws {
        #expect(try LayerPlan(notation: "0*65536").steps.count == LayerPlan.maximumSteps)
        #expect(throws: PlanError.tooManySteps(65_537)) { try LayerPlan(notation: "0*65536,1") }
        #expect(throws: PlanError.tooManySteps(80_002)) { try LayerPlan(notation: "1-1*80000-1") }
        #expect(throws: PlanError.tooManySteps(nil)) {
            try LayerPlan(parts: [.init([0, 1], iterations: .max)])
        }
        #expect(throws: PlanError.negativeLayer(-1)) { try LayerPlan(layers: [0, -1]) }
    }
}

@Suite struct StatePlaceTests {
    @Test func boundariesOfALoopAreNumberedAndNamed() throws {
        let plan = try LayerPlan(notation: "1-2*2-1")
        let places = plan.places(.resid)
        #expect(places.map(\.index) == [0, 1, 2, 3, 4, 5, 6])
        #expect(places.map(\.number) == [0, 1, 2, 3, 2, 3, 4])
        #expect(
            places.map(\.dataSet) == [
                "resid", "resid", "resid@think1", "resid@think1", "resid@think2", "resid@think2",
                "resid",
            ])
        #expect(places.map(\.step) == [nil, 0, 1, 2, 3, 4, 5])
        let queries = plan.places(.query)
        #expect(queries.map(\.index) == [0, 1, 2, 3, 4, 5])
        #expect(queries.map(\.number) == [0, 1, 2, 1, 2, 3])
        #expect(queries[3].dataSet == "q@think2")
    }
}
