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
        #expect(Naming.property("debug_description") == "debugDescription_p")
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
            names.map { Naming.enumValue($0, of: type) }
        }
        #expect(names(["RETRIEVAL_PATH_LIST", "RETRIEVAL_PATH_SCAN"], of: "RetrievalPath") == ["list", "scan"])
        #expect(names(["UNKNOWN", "NOT_SERVING"], of: "ServingStatus") == ["unknown", "notServing"])
        #expect(names(["SIZE_2D", "SIZE_SELF", "SIZE_DEFAULT"], of: "Size") == ["size2D", "self_", "`default`"])
    }

    /// A type has a capital, as its field may have the same name without, and no two become one.
    @Test func types() {
        #expect(
            ["lower", "_lower", "_"].map { Naming.type($0, suffix: "Message") } == ["Lower", "_Lower", "_Message"])
        #expect(Naming.type("any", suffix: "Message") == "AnyMessage")
        #expect(Naming.type("ViewMessage", suffix: "Message") == "ViewMessageMessage")
        #expect(Naming.type("Item", suffix: "Message", taken: ["Item"]) == "ItemMessage")
    }

    @Test func scopes() {
        var scope = NameScope()
        #expect(["a", "b", "a", "a", "a_2"].map { scope.take($0) } == ["a", "b", "a_2", "a_3", "a_2_2"])
        #expect(["`in`", "`in`"].map { scope.take($0) } == ["`in`", "in_2"])
        #expect(scope.take("X", endings: ["", "Service"]) == "X" && scope.take("XService") == "XService_2")
        #expect(scope.take("XServ", endings: ["", "ice"]) == "XServ_2")
    }

    /// Fields and oneofs share a scope, a oneof's members have their own, and a builder has functions beside its fields.
    @Test func members() {
        var message = DescriptorProto(
            field: [
                FieldDescriptorProto(name: "fooBar", number: 3), FieldDescriptorProto(name: "foo_bar", number: 1),
                FieldDescriptorProto(name: "make_foo_bar", number: 2),
                FieldDescriptorProto(name: "foo_bar", number: 4, oneofIndex: 0),
                FieldDescriptorProto(name: "x", number: 5, oneofIndex: 1, proto3Optional: true),
            ], oneofDecl: [OneofDescriptorProto(name: "foo_bar"), OneofDescriptorProto(name: "_x")])
        let names = MemberNames(message, types: ["OneOf_FooBar"])
        #expect(names.fields.map(\.property) == ["fooBar_2", "fooBar", "makeFooBar", "fooBar", "x"])
        #expect(names.fields.map(\.maker) == ["FooBar_3", "FooBar_2", "MakeFooBar", "FooBar_4", "X"])
        #expect(names.oneofs[0] == ("fooBar_3", "OneOf_FooBar_2") && names.oneofs[1] == ("", ""))
        // Moving a field changes no name.
        message.field.reverse()
        #expect(MemberNames(message, types: []).fields.map(\.property).reversed() == names.fields.map(\.property))
    }

    /// Every type that generated code names must be out of reach for a schema's own: this finds those that are not.
    @Test func generatedCodeNamesReservedTypes() throws {
        let request = try request("quirks")
        func names(_ message: DescriptorProto) -> [String] {
            [message.name] + message.nestedType.flatMap(names) + message.enumType.map(\.name)
        }
        let schema = request.protoFile.flatMap { $0.messageType.flatMap(names) + $0.enumType.map(\.name) }
        let own = Set(schema.flatMap { [$0, $0 + "Message", $0 + "Enum"] })
        var seen: Set<Substring> = []
        for file in try generate(request) {
            let code = file.content.replacing(#/(?s)"""\n.*?\n +"""|//[^\n]*|"[^"\n]*"/#, with: "")
            for match in code.matches(of: #/(?:^|[^.\w])((?!Q|OneOf_)[A-Z]\w*)/#) { seen.insert(match.output.1) }
        }
        #expect(seen.count > 30)
        for name in seen.map(String.init) where !own.contains(name) {
            #expect(Naming.type(name, suffix: "Message") != name, "reserve '\(name)' in Naming.swift")
        }
    }

    @Test func prefixes() {
        #expect(Naming.prefix(package: "fletch.v1") == "Fletch_V1_")
        #expect(Naming.prefix(package: "foo_bar.baz") == "FooBar_Baz_")
        #expect(Naming.prefix(package: "") == "")
    }
}
