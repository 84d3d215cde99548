// swift-tools-version: 6.2
import PackageDescription

// swift-protobuf's answers to the differential tests: a package of its own, so that Fletch's does not depend on it.
let package = Package(
    name: "oracle",
    dependencies: [
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0")
    ],
    targets: [
        .executableTarget(
            name: "oracle", dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .enableUpcomingFeature("InternalImportsByDefault"),
            ])
    ]
)
