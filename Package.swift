// swift-tools-version: 6.2
import PackageDescription

// The tree is the architecture: a target may import only targets of lower layers (ARCHITECTURE.md).

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

func library(_ name: String, _ dependencies: [Target.Dependency] = [], path: String? = nil) -> Target {
    .target(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func system(_ name: String, pkgConfig: String, apt package: String) -> Target {
    .systemLibrary(name: name, path: "Sources/System/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, swiftSettings: strict)
}

let package = Package(
    name: "fletch",
    products: [
        // For servers and clients of other services: what generated code needs, and what serves it (codegen/example).
        .library(
            name: "FletchServer",
            targets: [
                "Server", "StandardServices", "Interceptors", "RichErrors", "TLS", "RPC", "HTTP2", "EventLoop",
                "Schema", "Wire",
            ]),
        .library(name: "FletchClient", targets: ["Client", "RichErrors", "RPC", "Schema", "Wire"]),
        .executable(name: "fletch", targets: ["fletch"]),
        .executable(name: "protoc-gen-fletch", targets: ["protoc-gen-fletch"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        // Layer 0: system libraries, nothing else.
        system("CNghttp2", pkgConfig: "libnghttp2", apt: "libnghttp2-dev"),
        system("CProtobufC", pkgConfig: "libprotobuf-c", apt: "libprotobuf-c-dev"),
        system("CUV", pkgConfig: "libuv", apt: "libuv1-dev"),
        system("CBLAS", pkgConfig: "openblas", apt: "libopenblas-pthread-dev"),
        system("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
        system("CZstd", pkgConfig: "libzstd", apt: "libzstd-dev"),
        system("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),
        system("CXXHash", pkgConfig: "libxxhash", apt: "libxxhash-dev"),
        .systemLibrary(name: "CMalloc", path: "Sources/System/CMalloc"),

        // Layer 1: the wire, the protocol, the loop, vector kernels, linear algebra, compression; none knows another.
        library("Wire", ["CProtobufC"]),
        library("HTTP2", ["CNghttp2"]),
        library("EventLoop", ["CUV"]),
        library("TLS", ["COpenSSL"]),
        .target(name: "CKernels"),
        library("LinearAlgebra", ["CBLAS"]),
        library("Compression", ["CZlib", "CZstd"]),

        // Layer 2: gRPC semantics, generated messages, versioned tables, top-k, graphs, layers with gradients.
        library("Schema", ["Wire"]),
        library("RPC", ["Compression", "HTTP2", "Wire"]),
        library("ServiceSchema", ["RPC", "Schema", "Wire"]),
        library("Tables", ["Schema", "Wire", "CXXHash"]),
        library("Graph", ["Compression", "LinearAlgebra"]),
        library("Learning", ["LinearAlgebra"]),

        // Layer 3: typed errors, the server, the client, retrieval from tables, the learners.
        library(
            "Server",
            [
                "CMalloc", "EventLoop", "HTTP2", "RPC", "TLS", "Wire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        library("RichErrors", ["RPC", "Schema", "Wire"]),
        library("Client", ["CNghttp2", "RPC", "Schema", "Wire"]),
        library("Retrieval", ["Tables", "CKernels", "LinearAlgebra", "CXXHash"]),
        library("Related", ["Graph", "Learning", "LinearAlgebra", "Tables"]),

        // Layer 4: the handlers: those of our RPCs, and those that gRPC tools expect of every server.
        library(
            "Services",
            [
                "Retrieval", "RichErrors", "RPC", "Schema", "Server", "ServiceSchema", "Tables", "Wire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        library("StandardServices", ["RPC", "Schema", "Server", "ServiceSchema", "Wire"]),

        // What sees every call: log, metrics, authentication, limits.
        library(
            "Interceptors",
            ["EventLoop", "RPC", "RichErrors", "Server", .product(name: "Logging", package: "swift-log")]),

        // Layer 5: the one command.
        .executableTarget(
            name: "fletch",
            dependencies: [
                "Client", "Graph", "HTTP2", "Interceptors", "RPC", "Related", "Retrieval", "Schema", "Server",
                "ServiceSchema", "Services", "StandardServices", "TLS", "Tables", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        // Benchmarks: the server's own cost, without a table.
        .executableTarget(
            name: "canned-server",
            dependencies: [
                "EventLoop", "RPC", "Schema", "Server", "ServiceSchema", "Wire",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Benchmarks/rpc/CannedServer", swiftSettings: strict),

        // The generator: CodeGeneratorRequest -> model -> printer.
        .executableTarget(
            name: "protoc-gen-fletch", dependencies: ["CodeGenerator"], path: "codegen/protoc-gen-fletch",
            swiftSettings: strict),
        library("CodeGenerator", ["Wire"], path: "codegen/CodeGenerator"),

        // Tests, in the order of the layers, and what they share.
        library("TestSupport", path: "Tests/Support"),
        // A peer that may break every rule of HTTP/2.
        library("ScriptedPeer", ["CNghttp2"], path: "Tests/ScriptedPeer"),
        // Certificates, and a client's side of TLS that may misbehave.
        library("TLSPeer", ["COpenSSL", "TestSupport"], path: "Tests/TLSPeer"),
        // Generated from Tests/Quirks/Protos: messages with everything that the generator must get right.
        library("Quirks", ["RPC", "Wire"], path: "Tests/Quirks/Generated"),
        // Generated from Tests/Interop/Protos, and the server of gRPC's interoperability tests.
        library("InteropSchema", ["RPC", "Wire"], path: "Tests/Interop/Generated"),
        .executableTarget(
            name: "fletch-interop-server",
            dependencies: [
                "EventLoop", "InteropSchema", "RPC", "Server", "TLS", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/Interop/Server", swiftSettings: strict),
        // Publishes a table, to be killed while it does.
        .executableTarget(name: "publisher", dependencies: ["Tables"], path: "Tests/Publisher", swiftSettings: strict),
        tests("Wire", ["CProtobufC", "Quirks", "Schema"]),
        tests("HTTP2", ["ScriptedPeer"]),
        tests("TLS", ["TLSPeer", "TestSupport"]),
        tests("LinearAlgebra"),
        tests("Compression", ["LinearAlgebra"]),
        tests(
            "RPC",
            ["Compression", "HTTP2", "Quirks", "RichErrors", "Schema", "ScriptedPeer", "TestSupport", "Wire"]),
        tests("Tables", ["LinearAlgebra", "Schema", "TestSupport", "publisher"]),
        tests("Graph", ["CZlib", "CZstd", "LinearAlgebra"]),
        tests("Learning", ["LinearAlgebra"]),
        tests("Retrieval", ["CKernels", "LinearAlgebra", "Schema", "Tables", "TestSupport"]),
        tests(
            "Server",
            [
                "EventLoop", "HTTP2", "RPC", "ScriptedPeer", "TLS", "TLSPeer", "TestSupport", "Wire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("Client", ["RPC", "RichErrors", "Schema", "ScriptedPeer"]),
        tests(
            "Services",
            [
                "Client", "EventLoop", "RPC", "Retrieval", "RichErrors", "Schema", "Server", "ServiceSchema", "Tables",
                "TestSupport", "Wire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests(
            "StandardServices",
            [
                "Client", "EventLoop", "RPC", "Schema", "Server", "ServiceSchema",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("Related", ["Graph", "Learning", "LinearAlgebra", "Tables"]),
        tests(
            "Interceptors",
            [
                "EventLoop", "HTTP2", "RPC", "RichErrors", "ScriptedPeer", "TestSupport", "Wire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("CodeGenerator", ["Quirks", "RPC", "Wire"]),
    ]
)

// Fuzzers, built by Tests/Fuzz/run.sh with the flags that they need.
if Context.environment["FLETCH_FUZZ"] != nil {
    func fuzzer(_ name: String, _ dependencies: [Target.Dependency], path: String) {
        package.targets.append(
            .executableTarget(
                name: name, dependencies: dependencies + ["CLibFuzzer"], path: path, swiftSettings: strict))
        package.products.append(.executable(name: name, targets: [name]))
    }
    package.targets.append(.systemLibrary(name: "CLibFuzzer", path: "Tests/Fuzz/CLibFuzzer"))
    fuzzer("fuzz-wire", ["CProtobufC", "Quirks", "Schema", "Wire"], path: "Tests/Fuzz/FuzzWire")
    fuzzer("fuzz-compression", ["Compression"], path: "Tests/Fuzz/FuzzCompression")
    fuzzer("fuzz-http2", ["InteropSchema", "HTTP2", "RPC", "TestSupport", "Wire"], path: "Tests/Fuzz/FuzzHTTP2")
    fuzzer("fuzz-metadata", ["HTTP2", "RPC", "ScriptedPeer", "TestSupport"], path: "Tests/Fuzz/FuzzMetadata")
    fuzzer("fuzz-tables", ["CXXHash", "Retrieval", "Schema", "Tables", "Wire"], path: "Tests/Fuzz/FuzzTables")
}
