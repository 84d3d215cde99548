public import FletchWire

/// A message around one value, for fields that may be absent (wrappers.proto).
public protocol WrapperMessage: Message {
    associatedtype Wrapped
    var value: Wrapped { get set }
}

extension WrapperMessage {
    /// Wraps `value`.
    public init(_ value: Wrapped) {
        self.init()
        self.value = value
    }
}

extension WrapperMessage where Self: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: Wrapped) { self.init(value) }
}

extension WrapperMessage where Self: ExpressibleByFloatLiteral {
    public init(floatLiteral value: Wrapped) { self.init(value) }
}

extension Google_Protobuf_DoubleValue: WrapperMessage, ExpressibleByFloatLiteral {}
extension Google_Protobuf_FloatValue: WrapperMessage, ExpressibleByFloatLiteral {}
extension Google_Protobuf_Int64Value: WrapperMessage, ExpressibleByIntegerLiteral {}
extension Google_Protobuf_UInt64Value: WrapperMessage, ExpressibleByIntegerLiteral {}
extension Google_Protobuf_Int32Value: WrapperMessage, ExpressibleByIntegerLiteral {}
extension Google_Protobuf_UInt32Value: WrapperMessage, ExpressibleByIntegerLiteral {}
extension Google_Protobuf_BytesValue: WrapperMessage {}

extension Google_Protobuf_BoolValue: WrapperMessage, ExpressibleByBooleanLiteral {
    public init(booleanLiteral value: Bool) { self.init(value) }
}

extension Google_Protobuf_StringValue: WrapperMessage, ExpressibleByStringLiteral {
    public init(stringLiteral value: String) { self.init(value) }
}
