// swift-tools-version: 6.2
import PackageDescription

// The modules stand in the order data flows: files → checkpoint → model → (plan, taps) → layer
// scores → split → report. A module imports only modules above it.
let package = Package(
    name: "etd-analyze",
    products: [
        .executable(name: "etd-analyze", targets: ["etd-analyze"]),
        .executable(name: "etd", targets: ["etd"]),
        // For the package in Fuzz/ alone.
        .library(name: "FuzzTargets", targets: ["FuzzTargets"]),
    ],
    traits: [
        .trait(
            name: "OneDNN",
            description: "bf16 products on CPUs that multiply bf16 (needs libdnnl-dev)"),
        .default(enabledTraits: ["OneDNN"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    ],
    targets: [
        // Loads the library at run time: its header says why.
        .target(name: "COpenBLAS", linkerSettings: [.linkedLibrary("dl")]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),
        .systemLibrary(
            name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(name: "CKernels"),
        .target(name: "CMappings"),
        .target(
            name: "COneDNN",
            cSettings: [.define("ETD_ONEDNN", to: "1", .when(traits: ["OneDNN"]))],
            linkerSettings: [.linkedLibrary("dnnl", .when(traits: ["OneDNN"]))]),
        .target(
            name: "Files",
            dependencies: [
                "CCrypto", "CMappings",
                .product(name: "OrderedCollections", package: "swift-collections"),
                .product(name: "Yams", package: "Yams"),
            ]),
        .target(name: "Tensors", dependencies: ["COpenBLAS", "CKernels", "COneDNN"]),
        .target(
            name: "Checkpoints",
            dependencies: [
                "Files", "Tensors", "CKernels",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        .target(
            name: "Tokenizers",
            dependencies: [
                "Files", "Checkpoints",
                .product(name: "HeapModule", package: "swift-collections"),
            ]),
        .target(name: "Corpus", dependencies: ["Files", "Tensors", "Tokenizers", "CZlib"]),
        .target(name: "Plans"),
        .target(
            name: "Models",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Corpus", "Plans", "CKernels",
            ]),
        .target(
            name: "Records",
            dependencies: [
                "Files", "Plans",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        .target(
            name: "Activations",
            dependencies: [
                "Files", "Tensors", "Corpus", "Plans", "Models", "CZlib", "CHDF5", "CKernels",
            ]),
        .target(
            name: "Analysis",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Corpus", "Plans", "Models", "Records",
                "CKernels",
            ]),
        .target(
            name: "LensTraining",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Corpus", "Plans", "Models", "Analysis",
                "CKernels",
            ]),
        .target(
            name: "Evaluation",
            dependencies: [
                "Files", "Tensors", "Tokenizers", "Corpus", "Plans", "Models", "CKernels",
            ]),
        .target(
            name: "Inference",
            dependencies: ["Files", "Tensors", "Plans", "Models", "CKernels"]),
        .target(name: "Statistics", dependencies: ["Tensors"]),
        .target(
            name: "Selection",
            dependencies: [
                "Files", "Tensors", "Plans", "Records", "Statistics",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        .target(
            name: "Probing",
            dependencies: [
                "Files", "Tensors", "Tokenizers", "Corpus", "Plans", "Models", "Records",
                "Activations", "COpenBLAS", "CKernels",
            ]),
        .target(
            name: "Scans",
            dependencies: [
                "Files", "Tensors", "Statistics", "Tokenizers", "Corpus", "Plans", "Models",
                "Records",
                "Evaluation", "CKernels",
            ]),
        .target(
            name: "Relevance",
            dependencies: [
                "Tensors", "Statistics", "Corpus", "Models", "Probing", "Scans",
            ]),
        .target(
            name: "ModelStore",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Tokenizers", "Models", "Records",
            ]),
        .target(
            name: "Export",
            dependencies: ["Files", "Tensors", "Checkpoints", "Plans", "Models"],
            resources: [.embedInCode("modeling_etd.py")]),
        .target(
            name: "Training",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Corpus", "Plans", "Models", "Export",
                "CKernels",
            ]),
        .target(name: "Reporting", dependencies: ["Files", "Plans", "Records"]),
        .target(
            name: "Commands",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Tokenizers", "Corpus", "Plans", "Models",
                "Records", "Activations", "Analysis", "LensTraining", "Evaluation", "Inference",
                "Statistics", "Selection", "Probing", "Scans", "Relevance", "ModelStore", "Export",
                "Training", "Reporting",
                "CKernels",
                .product(name: "OrderedCollections", package: "swift-collections"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            resources: [.embedInCode("default-text.txt")]),
        .executableTarget(
            name: "etd-analyze",
            dependencies: [
                "Files", "Corpus", "Records", "Activations", "Analysis", "Probing", "Selection",
                "Reporting", "Commands",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .executableTarget(
            name: "etd",
            dependencies: [
                "Tokenizers", "Corpus", "Models", "Evaluation", "ModelStore", "Export",
                "Reporting", "Commands",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        .target(name: "TestSupport", dependencies: ["Files"], path: "Tests/TestSupport"),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "Files", "Checkpoints", "Tokenizers", "Models", "Records", "Activations",
                "Analysis", "Reporting", "Commands",
            ],
            path: "Tests/FuzzTargets"),
        .testTarget(
            name: "FuzzTests", dependencies: ["Files", "Models", "TestSupport", "FuzzTargets"]),
        .testTarget(name: "FilesTests", dependencies: ["Files", "TestSupport"]),
        .testTarget(name: "ModelStoreTests", dependencies: ["ModelStore", "TestSupport"]),
        .testTarget(name: "PlansTests", dependencies: ["Plans", "TestSupport"]),
        .testTarget(
            name: "TensorsTests",
            dependencies: ["Tensors", "TestSupport", "CKernels", "COneDNN"]),
        .testTarget(
            name: "CheckpointsTests",
            dependencies: ["Files", "Tensors", "Checkpoints", "TestSupport"]),
        .testTarget(
            name: "TokenizersTests",
            dependencies: [
                "Files", "Tokenizers", "ModelStore", "Commands", "TestSupport",
            ]),
        .testTarget(
            name: "CorpusTests", dependencies: ["Tokenizers", "Corpus", "TestSupport"]),
        .testTarget(
            name: "ModelsTests",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Plans", "Models", "TestSupport",
                "CKernels",
            ]),
        .testTarget(
            name: "ActivationsTests",
            dependencies: ["Activations", "TestSupport", "CKernels"]),
        .testTarget(
            name: "AnalysisTests",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Corpus", "Plans", "Models", "Records",
                "Analysis", "TestSupport", "CKernels",
            ]),
        .testTarget(
            name: "LensTrainingTests",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Corpus", "Models", "Analysis", "LensTraining",
                "TestSupport",
            ]),
        .testTarget(
            name: "EvaluationTests",
            dependencies: [
                "Files", "Checkpoints", "Tokenizers", "Corpus", "Plans", "Models",
                "Evaluation", "TestSupport",
            ]),
        .testTarget(
            name: "InferenceTests",
            dependencies: [
                "Files", "Tensors", "Statistics", "Checkpoints", "Plans", "Models", "Inference",
                "TestSupport",
            ]),
        .testTarget(
            name: "SelectionTests",
            dependencies: [
                "Files", "Tensors", "Statistics", "Plans", "Records", "Selection", "TestSupport",
            ]),
        .testTarget(
            name: "ProbingTests",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Tokenizers", "Corpus", "Plans", "Models",
                "Records", "Probing", "TestSupport",
            ]),
        .testTarget(
            name: "RelevanceTests",
            dependencies: [
                "Files", "Statistics", "Tokenizers", "Models",
                "ModelStore",
                "Probing", "Scans", "Evaluation", "Relevance",
                "TestSupport",
            ]),
        .testTarget(
            name: "ScansTests",
            dependencies: [
                "Files", "Checkpoints", "Corpus", "Plans", "Models", "Activations",
                "Evaluation", "Scans", "Tokenizers", "TestSupport",
            ]),
        .testTarget(
            name: "ExportTests",
            dependencies: [
                "Files", "Checkpoints", "Plans", "Models", "Export", "TestSupport",
            ]),
        .testTarget(
            name: "TrainingTests",
            dependencies: [
                "Files", "Tensors", "Checkpoints", "Plans", "Models", "Training", "TestSupport",
            ]),
        .testTarget(
            name: "ReportingTests",
            dependencies: [
                "Files", "Plans", "Records", "Analysis", "Reporting", "TestSupport",
            ]),
        .testTarget(
            name: "CommandTests", dependencies: ["Files", "Tensors", "Activations", "TestSupport"]),
    ],
    swiftLanguageModes: [.v6]
)

// `ETD_TESTS=ModelsTests,PlansTests swift build --build-tests` builds these test modules alone.
if let names = Context.environment["ETD_TESTS"]?.split(separator: ",").map(String.init) {
    package.targets.removeAll { $0.type == .test && !names.contains($0.name) }
}
