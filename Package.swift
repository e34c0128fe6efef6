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
    ],
    targets: [
        .systemLibrary(
            name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
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
                "CMappings", "CCrypto",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        .target(name: "Tensors", dependencies: ["CKernels", "COpenBLAS", "COneDNN"]),
        .target(
            name: "Checkpoints",
            dependencies: [
                "Files", "Tensors", "CKernels",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        .target(
            name: "Tokenizers",
            dependencies: [
                "Files", "Checkpoints", .product(name: "HeapModule", package: "swift-collections"),
            ]),
        .target(name: "Models", dependencies: ["Checkpoints", "Tensors", "CKernels", "COpenBLAS"]),
        .target(
            name: "Records",
            dependencies: [
                "Files", .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        .target(name: "Corpus", dependencies: ["Files", "Tokenizers", "CZlib"]),
        .target(
            name: "Activations",
            dependencies: [
                "Files", "Models", "Tensors", "CKernels", "CHDF5", "CZlib",
            ]),
        .target(
            name: "Analysis",
            dependencies: [
                "Files", "Checkpoints", "Models", "Corpus", "Records", "Tensors", "CKernels",
            ]),
        .target(
            name: "Training",
            dependencies: [
                "Files", "Checkpoints", "Models", "Corpus", "Analysis", "Tensors", "CKernels",
            ]),
        .target(
            name: "Evaluation",
            dependencies: ["Models", "Tokenizers", "Corpus", "Files", "Tensors", "CKernels"]),
        .target(name: "Selection", dependencies: ["Records", "Tensors"]),
        .target(
            name: "Probing",
            dependencies: [
                "Files", "Models", "Corpus", "Tokenizers", "Records", "Activations", "Tensors",
                "CKernels", "COpenBLAS",
            ]),
        .target(name: "Reporting", dependencies: ["Records"]),
        .target(
            name: "Commands",
            dependencies: [
                "Files", "Checkpoints", "Tokenizers", "Corpus", "Models", "Records", "Activations",
                "Analysis", "Training", "Selection", "Probing",
                "Reporting", "Evaluation", "Tensors", "CKernels",
                .product(name: "OrderedCollections", package: "swift-collections"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            resources: [.embedInCode("default-text.txt")]),
        .executableTarget(
            name: "etd-analyze",
            dependencies: [
                "Commands", "Probing",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .executableTarget(
            name: "etd",
            dependencies: [
                "Commands", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        .target(name: "TestSupport", dependencies: ["Files"], path: "Tests/TestSupport"),
        .target(
            name: "FuzzTargets", dependencies: ["Files", "Checkpoints", "Tokenizers", "Models"],
            path: "Tests/FuzzTargets"),
        .testTarget(
            name: "FuzzTests", dependencies: ["FuzzTargets", "Files", "Models", "TestSupport"]),
        .testTarget(name: "FilesTests", dependencies: ["Files", "TestSupport"]),
        .testTarget(
            name: "TensorsTests",
            dependencies: ["Tensors", "CKernels", "COneDNN", "COpenBLAS", "TestSupport"]),
        .testTarget(
            name: "CheckpointsTests",
            dependencies: [
                "Checkpoints", "Files", "Tensors", "TestSupport",
            ]),
        .testTarget(
            name: "TokenizersTests",
            dependencies: ["Tokenizers", "Commands", "Files", "TestSupport"]),
        .testTarget(
            name: "CorpusTests", dependencies: ["Corpus", "Tokenizers", "Files", "TestSupport"]),
        .testTarget(
            name: "ModelsTests",
            dependencies: ["Models", "Checkpoints", "Files", "Tensors", "CKernels", "TestSupport"]),
        .testTarget(
            name: "ActivationsTests",
            dependencies: [
                "Activations", "Models", "Checkpoints", "Files", "Tensors", "CKernels",
                "TestSupport",
            ]),
        .testTarget(
            name: "AnalysisTests",
            dependencies: [
                "Analysis", "Models", "Corpus", "Records", "Checkpoints", "Files", "Tensors",
                "CKernels", "TestSupport",
            ]),
        .testTarget(
            name: "TrainingTests",
            dependencies: [
                "Training", "Analysis", "Models", "Corpus", "Checkpoints", "Files", "Tensors",
                "CKernels", "TestSupport",
            ]),
        .testTarget(
            name: "EvaluationTests",
            dependencies: [
                "Evaluation", "Models", "Checkpoints", "Tokenizers", "Corpus", "Files",
                "TestSupport",
            ]),
        .testTarget(
            name: "SelectionTests", dependencies: ["Selection", "Tensors", "TestSupport"]),
        .testTarget(
            name: "ProbingTests",
            dependencies: [
                "Probing", "Records", "Tokenizers", "Commands", "Corpus", "Models", "Checkpoints",
                "Files", "Tensors", "TestSupport",
            ]),
        .testTarget(name: "ReportingTests", dependencies: ["Reporting", "TestSupport"]),
        .testTarget(
            name: "CommandTests", dependencies: ["Activations", "Files", "Tensors", "TestSupport"]),
    ],
    swiftLanguageModes: [.v6]
)
