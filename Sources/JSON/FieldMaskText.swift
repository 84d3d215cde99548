/// `google.protobuf.FieldMask` in JSON: paths in lowerCamelCase, between commas.
enum FieldMaskText {
    /// `display_name` as `displayName`; nil where that would not come back as it was.
    static func camelCase(_ path: some Collection<UInt8>) -> [UInt8]? {
        var camel: [UInt8] = []
        var isAfterUnderscore = false
        for byte in path {
            if isAfterUnderscore {
                guard isLowercase(byte) else { return nil }
                camel.append(byte ^ caseBit)
            } else if byte != underscore {
                guard !isUppercase(byte) else { return nil }
                camel.append(byte)
            }
            isAfterUnderscore = !isAfterUnderscore && byte == underscore
        }
        return isAfterUnderscore ? nil : camel
    }

    /// `displayName` as `display_name`; nil where the path has an underscore.
    static func snakeCase(_ path: ArraySlice<UInt8>) -> [UInt8]? {
        var snake: [UInt8] = []
        for byte in path {
            guard byte != underscore else { return nil }
            if isUppercase(byte) {
                snake += [underscore, byte ^ caseBit]
            } else {
                snake.append(byte)
            }
        }
        return snake
    }

    private static let underscore = UInt8(ascii: "_")
    private static let caseBit: UInt8 = 0x20

    private static func isLowercase(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "a") < 26 }
    private static func isUppercase(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "A") < 26 }
}
