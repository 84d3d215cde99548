/// The Swift names within one scope, no two the same.
struct NameScope {
    private(set) var names: Set<String>

    init(_ names: Set<String> = []) { self.names = names }

    /// Takes a name, or where something has it already the name with a number behind it.
    ///
    /// - Parameter endings: What the declarations that come with the name have behind it.
    mutating func take(_ name: String, endings: [String] = [""]) -> String {
        var candidate = name
        var number = 2
        while endings.contains(where: { names.contains(candidate + $0) }) {
            candidate = "\(name.filter { $0 != "`" })_\(number)"
            number += 1
        }
        names.formUnion(endings.map { candidate + $0 })
        return candidate
    }
}

/// The Swift names of a message's fields and oneofs, by their positions in the descriptor.
struct MemberNames {
    struct Field {
        /// Of the property, or of the case of a oneof.
        var property = ""
        /// Of what starts its message or its elements: `Items` for `makeItems`.
        var maker = ""
    }

    private(set) var fields: [Field]
    /// Those of `optional` fields, which are none in the schema, stay empty.
    private(set) var oneofs: [(property: String, type: String)]

    /// - Parameter types: The names of the types nested in the message.
    init(_ message: DescriptorProto, types: Set<String>) {
        fields = message.field.map { _ in Field() }
        oneofs = message.oneofDecl.map { _ in ("", "") }
        var types = NameScope(types)
        var properties = NameScope()
        var cases = message.oneofDecl.map { _ in NameScope() }
        // In the order of their numbers, which does not change when fields are moved.
        let order = message.field.indices.sorted { message.field[$0].number < message.field[$1].number }
        for position in order {
            let name = message.field[position].name
            if let oneof = message.field[position].oneof {
                fields[position].property = cases[oneof].take(Naming.oneofMember(name))
            } else {
                fields[position].property = properties.take(Naming.property(name))
            }
        }
        for oneof in Set(message.field.compactMap(\.oneof)).sorted() {
            oneofs[oneof].property = properties.take(Naming.property(message.oneofDecl[oneof].name))
            oneofs[oneof].type = types.take("OneOf_" + Naming.upperCamelCase(message.oneofDecl[oneof].name))
        }
        for position in order {
            let maker = properties.take("make" + Naming.upperCamelCase(message.field[position].name))
            fields[position].maker = String(maker.dropFirst(4))
        }
    }
}

extension FieldDescriptorProto {
    /// The index of its oneof; nil for the one that the descriptor gives each `optional` field.
    var oneof: Int? { proto3Optional ? nil : oneofIndex.map { Int($0) } }
}
