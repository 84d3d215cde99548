extension Google_Protobuf_Value {
    /// JSON's null.
    public static var null: Self { Self(kind: .nullValue(.nullValue)) }

    public init(_ number: Double) { self.init(kind: .numberValue(number)) }
    public init(_ string: String) { self.init(kind: .stringValue(string)) }
    public init(_ bool: Bool) { self.init(kind: .boolValue(bool)) }
    public init(_ object: Google_Protobuf_Struct) { self.init(kind: .structValue(object)) }
    public init(_ list: Google_Protobuf_ListValue) { self.init(kind: .listValue(list)) }

    /// Whether this is JSON's null. A value that was never set is not: it has no meaning.
    public var isNull: Bool { if case .nullValue = kind { true } else { false } }
    /// The number; nil where this is something else.
    public var number: Double? { if case .numberValue(let number) = kind { number } else { nil } }
    /// The string; nil where this is something else.
    public var string: String? { if case .stringValue(let string) = kind { string } else { nil } }
    /// The boolean; nil where this is something else.
    public var bool: Bool? { if case .boolValue(let bool) = kind { bool } else { nil } }
    /// The object; nil where this is something else.
    public var object: Google_Protobuf_Struct? { if case .structValue(let object) = kind { object } else { nil } }
    /// The list; nil where this is something else.
    public var list: Google_Protobuf_ListValue? { if case .listValue(let list) = kind { list } else { nil } }

    /// The member of that name; nil where this is no object or has none.
    public subscript(name: String) -> Google_Protobuf_Value? { object?[name] }
    /// The element at that index; nil where this is no list or has none.
    public subscript(index: Int) -> Google_Protobuf_Value? {
        list.flatMap { $0.values.indices.contains(index) ? $0.values[index] : nil }
    }
}

extension Google_Protobuf_Value: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(booleanLiteral value: Bool) { self.init(value) }
    public init(integerLiteral value: Int64) { self.init(Double(value)) }
    public init(floatLiteral value: Double) { self.init(value) }
    public init(stringLiteral value: String) { self.init(value) }
    public init(arrayLiteral elements: Google_Protobuf_Value...) {
        self.init(Google_Protobuf_ListValue(values: elements))
    }
    public init(dictionaryLiteral elements: (String, Google_Protobuf_Value)...) {
        self.init(Google_Protobuf_Struct(elements))
    }
}

extension Google_Protobuf_Struct: ExpressibleByDictionaryLiteral {
    /// The last of members with one name stays.
    fileprivate init(_ members: [(String, Google_Protobuf_Value)]) {
        self.init(fields: Dictionary(members) { _, last in last })
    }

    public init(dictionaryLiteral elements: (String, Google_Protobuf_Value)...) { self.init(elements) }

    /// The member of that name; setting nil removes it.
    public subscript(name: String) -> Google_Protobuf_Value? {
        get { fields[name] }
        set { fields[name] = newValue }
    }
}

extension Google_Protobuf_ListValue: ExpressibleByArrayLiteral {
    public init(arrayLiteral elements: Google_Protobuf_Value...) { self.init(values: elements) }

    /// The element at that index, which must be there.
    public subscript(index: Int) -> Google_Protobuf_Value {
        get { values[index] }
        set { values[index] = newValue }
    }
}
