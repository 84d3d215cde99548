// swift-tools-version: 6.2
import PackageDescription

// The tree is the architecture: a target may import only targets of lower layers (ARCHITECTURE.md).

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

/// A module that others' programs link is named Fletch and its folder: names of modules must be unique among all
/// packages of a program, and `Server` or `Client` is what a user calls their own.
func folder(of module: String) -> String { module.hasPrefix("Fletch") ? String(module.dropFirst(6)) : module }

func library(_ name: String, _ dependencies: [Target.Dependency] = [], path: String? = nil) -> Target {
    .target(
        name: name, dependencies: dependencies, path: path ?? "Sources/\(folder(of: name))", swiftSettings: strict)
}

func system(_ name: String, pkgConfig: String, apt package: String) -> Target {
    .systemLibrary(name: name, path: "Sources/System/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(folder(of: name))Tests", dependencies: [.byName(name: name)] + dependencies, swiftSettings: strict)
}

let package = Package(
    name: "fletch",
    products: [
        // For servers and clients of other services: what generated code needs, and what serves it (codegen/example).
        .library(
            name: "FletchServer",
            targets: [
                "FletchServer", "FletchStandardServices", "FletchInterceptors", "FletchRichErrors", "FletchTLS",
                "FletchRPC", "FletchHTTP2", "FletchEventLoop",
                "FletchJSON", "FletchSchema", "FletchWellKnownTypes", "FletchWire",
            ]),
        .library(
            name: "FletchClient",
            targets: [
                "FletchClient", "FletchCompression", "FletchJSON", "FletchRichErrors", "FletchRPC", "FletchSchema",
                "FletchTLS", "FletchWellKnownTypes", "FletchWire",
            ]),
        .executable(name: "fletch", targets: ["fletch"]),
        .executable(name: "protoc-gen-fletch", targets: ["protoc-gen-fletch"]),
        .plugin(name: "GenerateFletch", targets: ["GenerateFletch"]),
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
        library("FletchWire", ["CProtobufC"]),
        library("FletchHTTP2", ["CNghttp2"]),
        library("FletchEventLoop", ["CUV"]),
        library("FletchTLS", ["COpenSSL"]),
        .target(name: "CKernels"),
        library("LinearAlgebra", ["CBLAS"]),
        library("FletchCompression", ["CZlib", "CZstd"]),

        // Layer 2: gRPC semantics, generated messages, versioned tables, top-k, graphs, layers with gradients.
        library("FletchWellKnownTypes", ["FletchWire"]),
        library("FletchJSON", ["FletchWire"]),
        library("FletchSchema", ["FletchWellKnownTypes", "FletchWire"]),
        library("FletchRPC", ["FletchCompression", "FletchHTTP2", "FletchWire"]),
        library("FletchServiceSchema", ["FletchRPC", "FletchSchema", "FletchWire"]),
        library("Tables", ["FletchSchema", "FletchWire", "CXXHash"]),
        library("Graph", ["FletchCompression", "LinearAlgebra"]),
        library("Learning", ["LinearAlgebra"]),

        // Layer 3: typed errors, the server, the client, retrieval from tables, the learners.
        library(
            "FletchServer",
            [
                "CMalloc", "FletchEventLoop", "FletchHTTP2", "FletchRPC", "FletchTLS", "FletchWire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        library("FletchRichErrors", ["FletchRPC", "FletchSchema", "FletchWire"]),
        library(
            "FletchClient",
            ["FletchCompression", "FletchEventLoop", "FletchHTTP2", "FletchRPC", "FletchTLS"]),
        library("Retrieval", ["Tables", "CKernels", "LinearAlgebra", "CXXHash"]),
        library("Related", ["Graph", "Learning", "LinearAlgebra", "Tables"]),

        // Layer 4: the handlers: those of our RPCs, and those that gRPC tools expect of every server.
        library(
            "Services",
            [
                "FletchEventLoop", "Retrieval", "FletchRichErrors", "FletchRPC", "FletchSchema", "FletchServer",
                "FletchServiceSchema",
                "Tables", "FletchWire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        library(
            "FletchStandardServices",
            [
                "FletchRPC", "FletchSchema", "FletchServer", "FletchServiceSchema", "FletchWellKnownTypes",
                "FletchWire",
            ]),

        // What sees every call: log, metrics, authentication, limits.
        library(
            "FletchInterceptors",
            [
                "FletchEventLoop", "FletchRPC", "FletchRichErrors", "FletchServer",
                .product(name: "Logging", package: "swift-log"),
            ]),

        // Layer 5: the one command.
        .executableTarget(
            name: "fletch",
            dependencies: [
                "FletchClient", "Graph", "FletchHTTP2", "FletchInterceptors", "FletchJSON", "FletchRPC", "Related",
                "Retrieval",
                "FletchSchema", "FletchServer",
                "FletchServiceSchema", "Services", "FletchStandardServices", "FletchTLS", "Tables", "FletchWire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        // Benchmarks: the server's own cost, without a table.
        .executableTarget(
            name: "canned-server",
            dependencies: [
                "FletchEventLoop", "FletchRPC", "FletchSchema", "FletchServer", "FletchServiceSchema", "FletchWire",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Benchmarks/rpc/CannedServer", swiftSettings: strict),

        // Benchmarks: the client beside grpcio's (Benchmarks/rpc/clients.py).
        .executableTarget(
            name: "swift-client", dependencies: ["FletchClient", "FletchRPC", "InteropSchema"],
            path: "Benchmarks/rpc/SwiftClient", swiftSettings: strict),

        // Benchmarks: searches of one matrix beside other libraries' (Benchmarks/retrieval/compare.py).
        .executableTarget(
            name: "retrieval-bench", dependencies: ["LinearAlgebra", "Retrieval", "Tables"],
            path: "Benchmarks/retrieval/RetrievalBench", swiftSettings: strict),

        // Benchmarks: filters over a published table, in process (Benchmarks/filters/run.sh).
        .executableTarget(
            name: "filter-bench", dependencies: ["Retrieval", "Tables"], path: "Benchmarks/filters/FilterBench",
            swiftSettings: strict),

        // The generator: CodeGeneratorRequest -> model -> printer.
        .executableTarget(
            name: "protoc-gen-fletch", dependencies: ["CodeGenerator"], path: "codegen/protoc-gen-fletch",
            swiftSettings: strict),
        library("CodeGenerator", ["FletchWire"], path: "codegen/CodeGenerator"),
        // The same from within a package of its users.
        .plugin(
            name: "GenerateFletch",
            capability: .command(
                intent: .custom(
                    verb: "generate-fletch", description: "Generate Swift messages and services from .proto files"),
                permissions: [
                    .writeToPackageDirectory(reason: "The Swift code of the .proto files goes into the package.")
                ]),
            dependencies: ["protoc-gen-fletch"], path: "codegen/plugin"),

        // Tests, in the order of the layers, and what they share.
        library("TestSupport", path: "Tests/Support"),
        // A peer that may break every rule of HTTP/2.
        library("ScriptedPeer", ["CNghttp2"], path: "Tests/ScriptedPeer"),
        // Certificates, and a client's side of TLS that may misbehave.
        library("TLSPeer", ["COpenSSL", "TestSupport"], path: "Tests/TLSPeer"),
        // Generated from Tests/Quirks/Protos: messages with everything that the generator must get right.
        library("Quirks", ["FletchRPC", "FletchWire"], path: "Tests/Quirks/Generated"),
        // Generated from Tests/Interop/Protos, and the server of gRPC's interoperability tests.
        library("InteropSchema", ["FletchRPC", "FletchWire"], path: "Tests/Interop/Generated"),
        // Generated from Tests/Conformance/Protos, and the program that protobuf's conformance tests talk to.
        library(
            "ConformanceSchema", ["FletchWellKnownTypes", "FletchWire"], path: "Tests/Conformance/Generated"),
        .executableTarget(
            name: "conformance-testee",
            dependencies: ["ConformanceSchema", "FletchJSON", "FletchWellKnownTypes", "FletchWire"],
            path: "Tests/Conformance/Testee", swiftSettings: strict),
        .executableTarget(
            name: "fletch-interop-server",
            dependencies: [
                "FletchEventLoop", "InteropSchema", "FletchRPC", "FletchServer", "FletchTLS", "FletchWire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/Interop/Server", swiftSettings: strict),
        .executableTarget(
            name: "fletch-interop-client",
            dependencies: [
                "FletchClient", "FletchCompression", "InteropSchema", "FletchRPC", "FletchTLS",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/Interop/Client", swiftSettings: strict),
        // Publishes a table, to be killed while it does.
        .executableTarget(name: "publisher", dependencies: ["Tables"], path: "Tests/Publisher", swiftSettings: strict),
        tests("FletchWire", ["CProtobufC", "Quirks", "FletchSchema"]),
        tests("FletchHTTP2", ["ScriptedPeer"]),
        tests("FletchTLS", ["TLSPeer", "TestSupport"]),
        tests("FletchWellKnownTypes", ["FletchWire"]),
        tests("FletchJSON", ["ConformanceSchema", "FletchWellKnownTypes", "FletchWire", "Quirks"]),
        tests("LinearAlgebra"),
        tests("FletchCompression", ["LinearAlgebra"]),
        tests(
            "FletchRPC",
            [
                "FletchCompression", "FletchHTTP2", "Quirks", "FletchRichErrors", "FletchSchema", "ScriptedPeer",
                "TestSupport", "FletchWellKnownTypes", "FletchWire",
            ]),
        tests("Tables", ["LinearAlgebra", "FletchSchema", "FletchWire", "TestSupport", "publisher"]),
        tests("Graph", ["CZlib", "CZstd", "LinearAlgebra"]),
        tests("Learning", ["LinearAlgebra"]),
        tests("Retrieval", ["CKernels", "LinearAlgebra", "FletchSchema", "Tables", "TestSupport"]),
        tests(
            "FletchServer",
            [
                "FletchEventLoop", "FletchHTTP2", "FletchRPC", "ScriptedPeer", "FletchTLS", "TLSPeer", "TestSupport",
                "FletchWire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests(
            "FletchClient",
            [
                "FletchEventLoop", "FletchHTTP2", "FletchRPC", "FletchRichErrors", "FletchSchema", "FletchServer",
                "FletchTLS", "FletchWire", "Quirks", "ScriptedPeer", "TestSupport", "TLSPeer",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests(
            "Services",
            [
                "FletchClient", "FletchEventLoop", "LinearAlgebra", "FletchRPC", "Retrieval", "FletchRichErrors",
                "FletchSchema",
                "FletchServer", "FletchServiceSchema", "Tables",
                "TestSupport", "FletchWire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests(
            "FletchStandardServices",
            [
                "FletchClient", "FletchEventLoop", "FletchRPC", "FletchSchema", "FletchServer", "FletchServiceSchema",
                "FletchWellKnownTypes",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("Related", ["Graph", "Learning", "LinearAlgebra", "Retrieval", "Tables", "TestSupport"]),
        tests(
            "FletchInterceptors",
            [
                "FletchEventLoop", "FletchHTTP2", "FletchRPC", "FletchRichErrors", "ScriptedPeer", "TestSupport",
                "FletchWire",
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests("CodeGenerator", ["Quirks", "FletchRPC", "FletchWire"]),
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
    fuzzer("fuzz-wire", ["CProtobufC", "Quirks", "FletchSchema", "FletchWire"], path: "Tests/Fuzz/FuzzWire")
    fuzzer("fuzz-json", ["ConformanceSchema", "FletchJSON", "FletchWire"], path: "Tests/Fuzz/FuzzJSON")
    fuzzer("fuzz-compression", ["FletchCompression"], path: "Tests/Fuzz/FuzzCompression")
    fuzzer(
        "fuzz-http2", ["InteropSchema", "FletchHTTP2", "FletchRPC", "TestSupport", "FletchWire"],
        path: "Tests/Fuzz/FuzzHTTP2")
    fuzzer(
        "fuzz-metadata", ["FletchHTTP2", "FletchRPC", "ScriptedPeer", "TestSupport"], path: "Tests/Fuzz/FuzzMetadata")
    fuzzer(
        "fuzz-tables", ["CXXHash", "Retrieval", "FletchSchema", "Tables", "FletchWire"], path: "Tests/Fuzz/FuzzTables")
}
