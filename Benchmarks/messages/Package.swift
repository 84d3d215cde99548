// swift-tools-version: 6.2
import PackageDescription

// Beside Fletch, which uses no other protobuf library, what it is measured against.
let package = Package(
    name: "messages",
    dependencies: [
        .package(name: "fletch", path: "../.."),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
    ],
    targets: [
        .target(name: "CAllocations"),
        // Generated from Protos by Fletch's plugin.
        .target(name: "FletchMessages", dependencies: [.product(name: "FletchClient", package: "fletch")]),
        // Generated from the same and proto/fletch/v1 by protoc-gen-swift.
        .target(
            name: "SwiftProtobufMessages", dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")]),
        .executableTarget(
            name: "measure",
            dependencies: [
                "CAllocations", "FletchMessages", "SwiftProtobufMessages",
                .product(name: "FletchClient", package: "fletch"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
    ])
