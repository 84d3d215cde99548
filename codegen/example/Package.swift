// swift-tools-version: 6.2
import PackageDescription

// A service of one's own on Fletch's server, in two versions of its schema. Elsewhere the dependency is the
// repository: .package(url:branch:).
let package = Package(
    name: "greeter",
    products: [.executable(name: "greeter", targets: ["Server"])],
    dependencies: [
        .package(name: "fletch", path: "../.."),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        .executableTarget(
            name: "Server",
            dependencies: [
                .product(name: "FletchServer", package: "fletch"),
                .product(name: "FletchClient", package: "fletch"),
                .product(name: "Logging", package: "swift-log"),
            ])
    ])
