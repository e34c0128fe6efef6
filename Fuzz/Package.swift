// swift-tools-version: 6.2
import PackageDescription

// A package of its own: it is built with sanitizers, and only by scripts/fuzz.
let package = Package(
    name: "fuzz",
    dependencies: [.package(name: "etd-analyze", path: "..")],
    targets: [
        .executableTarget(
            name: "fuzz", dependencies: [.product(name: "FuzzTargets", package: "etd-analyze")])
    ],
    swiftLanguageModes: [.v6]
)
