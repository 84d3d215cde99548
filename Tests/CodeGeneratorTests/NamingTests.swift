import Testing

@testable import CodeGenerator

@Suite struct NamingTests {
    @Test(arguments: [
        ("product_id", "productID", "ProductID"), ("product_ids", "productIds", "ProductIds"), ("id", "id", "ID"),
        ("url_path", "urlPath", "URLPath"), ("my_http_url", "myHTTPURL", "MyHTTPURL"),
        ("foo1bar", "foo1Bar", "Foo1Bar"),
        ("sha256sum", "sha256Sum", "Sha256Sum"), ("FOO", "foo", "Foo"), ("foO", "foO", "FoO"),
        ("fooBar", "fooBar", "FooBar"), ("foo_bAr_BaZ", "fooBArBaZ", "FooBArBaZ"), ("_foo", "_foo", "_Foo"),
        ("foo__bar_", "fooBar", "FooBar"),
    ])
    func camelCase(name: String, lower: String, upper: String) {
        #expect(Naming.lowerCamelCase(name) == lower)
        #expect(Naming.upperCamelCase(name) == upper)
    }

    @Test func reservedWords() {
        #expect(Naming.property("class") == "`class`")
        #expect(Naming.property("descriptor") == "descriptor_p")
        #expect(Naming.property("unknown_fields") == "unknownFields_p")
        #expect(Naming.method("Copy") == "copy" && Naming.method("Default") == "`default`")
        #expect(Naming.type("View", suffix: "Message") == "ViewMessage")
        #expect(Naming.type("Type", suffix: "Enum") == "TypeEnum")
        #expect(Naming.type("ClientChannel", suffix: "Message") == "ClientChannelMessage")
        #expect(Naming.type("Grpc_Channelz_V1_Channel", suffix: "Message") == "Grpc_Channelz_V1_Channel")
        #expect(Naming.type("RelatedItem", suffix: "Message") == "RelatedItem")
    }

    @Test func enumValues() {
        func names(_ names: [String], of type: String) -> [String] {
            names.map { Naming.enumValue($0, of: type, siblings: names) }
        }
        #expect(names(["RETRIEVAL_PATH_LIST", "RETRIEVAL_PATH_SCAN"], of: "RetrievalPath") == ["list", "scan"])
        #expect(names(["UNKNOWN", "NOT_SERVING"], of: "ServingStatus") == ["unknown", "notServing"])
        #expect(names(["SIZE_2D", "SIZE_SELF", "SIZE_DEFAULT"], of: "Size") == ["size2D", "self_", "`default`"])
        // Stripping would make two of the same.
        #expect(names(["LEVEL_LOW", "LOW"], of: "Level") == ["levelLow", "low"])
    }

    @Test func prefixes() {
        #expect(Naming.prefix(package: "fletch.v1") == "Fletch_V1_")
        #expect(Naming.prefix(package: "foo_bar.baz") == "FooBar_Baz_")
        #expect(Naming.prefix(package: "") == "")
    }
}
