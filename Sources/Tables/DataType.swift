/// The type of a tensor's elements, as safetensors names it; little-endian in files.
public enum DataType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case uint8 = "U8"
    case int8 = "I8"
    case uint16 = "U16"
    case int16 = "I16"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case uint32 = "U32"
    case int32 = "I32"
    case float32 = "F32"
    case uint64 = "U64"
    case int64 = "I64"
    case float64 = "F64"

    /// The size of one element in bytes, which is also the alignment it needs.
    public var size: Int {
        switch self {
        case .bool, .uint8, .int8: 1
        case .uint16, .int16, .float16, .bfloat16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        }
    }
}

/// A Swift type that tensors of one data type are read as, in place.
public protocol TensorElement: BitwiseCopyable, Sendable {
    /// The data type of tensors that hold it.
    static var dataType: DataType { get }
}

extension UInt8: TensorElement {
    /// U8.
    public static var dataType: DataType { .uint8 }
}
extension Int8: TensorElement {
    /// I8.
    public static var dataType: DataType { .int8 }
}
extension UInt16: TensorElement {
    /// U16.
    public static var dataType: DataType { .uint16 }
}
extension Int16: TensorElement {
    /// I16.
    public static var dataType: DataType { .int16 }
}
extension UInt32: TensorElement {
    /// U32.
    public static var dataType: DataType { .uint32 }
}
extension Int32: TensorElement {
    /// I32.
    public static var dataType: DataType { .int32 }
}
extension UInt64: TensorElement {
    /// U64.
    public static var dataType: DataType { .uint64 }
}
extension Int64: TensorElement {
    /// I64.
    public static var dataType: DataType { .int64 }
}
extension Float: TensorElement {
    /// F32.
    public static var dataType: DataType { .float32 }
}
extension Double: TensorElement {
    /// F64.
    public static var dataType: DataType { .float64 }
}
