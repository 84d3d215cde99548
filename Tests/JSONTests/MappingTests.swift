import ConformanceSchema
import FletchJSON
import FletchWellKnownTypes
import FletchWire
import Testing

typealias TestMessage = ProtobufTestMessages_Proto3_TestAllTypesProto3

/// JSON as it is written; read, encoded, decoded and written again it is the same.
@Suite struct CanonicalFormTests {
    @Test(arguments: [
        #"{}"#,
        // Numbers
        #"{"optionalInt32":-2147483648}"#, #"{"optionalInt64":"-9223372036854775808"}"#,
        #"{"optionalUint32":4294967295}"#, #"{"optionalUint64":"18446744073709551615"}"#,
        #"{"optionalSint32":-2147483648}"#, #"{"optionalSint64":"-9223372036854775808"}"#,
        #"{"optionalFixed32":4294967295}"#, #"{"optionalFixed64":"18446744073709551615"}"#,
        #"{"optionalSfixed32":2147483647}"#, #"{"optionalSfixed64":"9223372036854775807"}"#,
        #"{"optionalFloat":3.4028235e+38}"#, #"{"optionalFloat":1e-45}"#, #"{"optionalFloat":0.1}"#,
        #"{"optionalFloat":-0}"#, #"{"optionalFloat":"NaN"}"#, #"{"optionalFloat":"-Infinity"}"#,
        #"{"optionalDouble":1.7976931348623157e+308}"#, #"{"optionalDouble":5e-324}"#,
        #"{"optionalDouble":"Infinity"}"#, #"{"optionalDouble":100}"#,
        // Other scalars
        #"{"optionalBool":true}"#, #"{"optionalBytes":"AP/+"}"#, #"{"optionalBytes":"AQ=="}"#,
        #"{"optionalString":"ü🙂\u0000\b\t\n\f\r\"\\/\u007f\u2028"}"#.replacing(#"\u007f\u2028"#, "\u{7f}\u{2028}"),
        // Enums: by name, the first of aliases, and unknown ones by number.
        #"{"optionalNestedEnum":"NEG"}"#, #"{"optionalNestedEnum":77}"#, #"{"optionalAliasedEnum":"ALIAS_BAZ"}"#,
        // Messages, lists, maps in the order of their keys
        #"{"optionalNestedMessage":{}}"#, #"{"recursiveMessage":{"recursiveMessage":{"optionalInt32":1}}}"#,
        #"{"repeatedInt32":[0,1],"repeatedString":["","x"],"repeatedNestedMessage":[{},{"a":1}]}"#,
        #"{"packedInt32":[1,-1],"unpackedDouble":[0,1.5],"unpackedBool":[true,false]}"#,
        #"{"mapInt32Int32":{"-1":0,"0":1,"10":2}}"#, #"{"mapUint64Uint64":{"18446744073709551615":"1"}}"#,
        #"{"mapBoolBool":{"false":true,"true":false}}"#, #"{"mapSint64Sint64":{"-9223372036854775808":"0"}}"#,
        #"{"mapFixed32Fixed32":{"4294967295":0},"mapSfixed64Sfixed64":{"-1":"-1"}}"#,
        #"{"mapStringString":{"":"a","Z":"","a":"","é":""},"mapStringNestedMessage":{"x":{"a":1}}}"#,
        // Presence
        #"{"oneofUint32":0}"#, #"{"oneofString":""}"#, #"{"oneofBytes":""}"#, #"{"oneofEnum":"FOO"}"#,
        #"{"oneofNullValue":null}"#, #"{"oneofNestedMessage":{}}"#, #"{"optionalInt32Wrapper":0}"#,
        // Names: json_name takes the underscores out.
        #"{"fieldname1":1,"FieldName3":2,"field0name5":3,"FIELDNAME11":4,"FieldName13":5,"FieldName18":6}"#,
        // Well-known types
        #"{"optionalBoolWrapper":false,"optionalInt64Wrapper":"0","optionalStringWrapper":"","optionalBytesWrapper":""}"#,
        #"{"optionalDuration":"0s"}"#, #"{"optionalDuration":"-0.500s"}"#, #"{"optionalDuration":"-315576000000s"}"#,
        #"{"optionalDuration":"1.000001s"}"#, #"{"optionalDuration":"315576000000s"}"#,
        #"{"optionalTimestamp":"1970-01-01T00:00:00Z"}"#, #"{"optionalTimestamp":"0001-01-01T00:00:00Z"}"#,
        #"{"optionalTimestamp":"9999-12-31T23:59:59.999999999Z"}"#,
        #"{"optionalTimestamp":"1969-12-31T23:59:59.900Z"}"#,
        #"{"optionalTimestamp":"2000-02-29T12:00:00.000001Z"}"#, #"{"optionalTimestamp":"1900-02-28T00:00:00Z"}"#,
        #"{"optionalFieldMask":""}"#, #"{"optionalFieldMask":"fooBar,baz.quxQuux"}"#,
        #"{"optionalStruct":{"a":[1,"x",null,true,{"b":{}}],"z":-0}}"#, #"{"repeatedListValue":[[],[[]]]}"#,
        #"{"optionalValue":null}"#, #"{"repeatedValue":[null,1,"",false,{},[]]}"#,
        #"{"optionalAny":{}}"#, #"{"optionalAny":{"@type":"a/google.protobuf.Duration","value":"1.500s"}}"#,
        #"{"optionalAny":{"@type":"a/protobuf_test_messages.proto3.ForeignMessage","c":1}}"#,
        #"{"optionalAny":{"@type":"a/google.protobuf.Any","value":{"@type":"a/google.protobuf.Value","value":null}}}"#,
        #"{"optionalAny":{"@type":"a/google.protobuf.Int32Value","value":0}}"#,
    ])
    func readsAndWritesTheSame(text: String) throws {
        let message = try TestMessage(jsonString: text)
        #expect(try TestMessage(decoding: message.encoded()).jsonString() == text)
        // The transcoder's own bytes are those of the encoder.
        #expect(try JSONTranscoder.encoded(Array(text.utf8), of: TestMessage.descriptor) == message.encoded())
    }

    @Test func wellKnownTypesStandAlone() throws {
        let object: Google_Protobuf_Struct = ["value": ["a": [1]], "x": 2]
        let text = #"{"value":{"a":[1]},"x":2}"#
        #expect(try object.jsonString() == text)
        #expect(try Google_Protobuf_Struct(jsonString: text) == object)
        #expect(try Google_Protobuf_Timestamp(seconds: 1).jsonString() == #""1970-01-01T00:00:01Z""#)
        #expect(try Google_Protobuf_Value(jsonString: "null") == .null)
    }
}

@Suite struct NameTests {
    private typealias Names = Fletch_Test_Names

    @Test func chosenNamesGoBeforeThoseOfTheFile() throws {
        let names = Names(chosen: 1, first: 2, secondName: 3, byName: ["x": Names(chosen: 4)])
        let text = #"{"@chosen \"one\"":1,"second_name":2,"secondName":3,"names":{"x":{"@chosen \"one\"":4}}}"#
        #expect(try names.jsonString() == text)
        #expect(try Names(jsonString: text) == names)
        #expect(try Names(jsonString: #"{"chosen":1,"first":2,"by_name":{}}"#) == Names(chosen: 1, first: 2))
        #expect(throws: JSONError.self) { try Names(jsonString: #"{"first":1,"second_name":1}"#) }
        #expect(throws: JSONError.self) { try Names(jsonString: #"{"byName":{}}"#) }
    }

    /// The sign for kelvins (U+212A) and K are equal as Swift's Strings.
    @Test func namesAreToldApartByTheirBytes() throws {
        #expect(try Names(jsonString: #"{"K":1}"#) == Names(kelvins: 1))
        let error = try #require(throws: JSONError.self) { try Names(jsonString: #"{"\u212a":1}"#) }
        #expect(error.code == .unknownField)
    }

    @Test func optionalFieldsHavePresence() throws {
        let zero = Names(optionalNumber: 0, optionalText: "")
        #expect(try zero.jsonString() == #"{"optionalNumber":0,"optionalText":""}"#)
        #expect(try Names(jsonString: zero.jsonString()) == zero)
        #expect(try Names(jsonString: #"{"optionalNumber":null}"#) == Names())
        var options = JSONEncodingOptions()
        options.alwaysPrintFieldsWithNoPresence = true
        #expect(try !Names().jsonString(options: options).contains("optional"))
    }
}

/// What is read, and what it is in canonical form.
@Suite struct LenienceTests {
    @Test(arguments: [
        // Numbers as strings, with exponents, integral fractions; nulls; names of the .proto file.
        (#"{"optionalInt32":"5"}"#, #"{"optionalInt32":5}"#),
        (#"{"optional_int32":1e5}"#, #"{"optionalInt32":100000}"#),
        (#"{"optionalInt32":2.147483647e9}"#, #"{"optionalInt32":2147483647}"#),
        (#"{"optionalInt32":10.00}"#, #"{"optionalInt32":10}"#),
        (#"{"optionalInt32":120e-1}"#, #"{"optionalInt32":12}"#),
        (#"{"optionalInt32":-0,"optionalInt64":0e999999999999}"#, "{}"),
        (#"{"optionalInt64":9223372036854775807}"#, #"{"optionalInt64":"9223372036854775807"}"#),
        (#"{"optionalUint64":1.8446744073709551615e19}"#, #"{"optionalUint64":"18446744073709551615"}"#),
        (#"{"optionalDouble":"1.5","optionalFloat":"-0.1e1"}"#, #"{"optionalFloat":-1,"optionalDouble":1.5}"#),
        (#"{"optionalDouble":1e-999}"#, "{}"),
        (#"{"optionalInt32":null,"repeatedInt32":null,"mapInt32Int32":null,"optionalNestedMessage":null}"#, "{}"),
        (
            #"{"optionalInt32Wrapper":null,"optionalTimestamp":null,"oneofString":null,"oneofUint32":1}"#,
            #"{"oneofUint32":1}"#
        ),
        (#"{"optionalNullValue":"NULL_VALUE"}"#, "{}"), (#"{"optionalNullValue":null,"repeatedInt32":[]}"#, "{}"),
        (
            #"{"optionalNestedEnum":1,"optionalAliasedEnum":"moo"}"#,
            #"{"optionalNestedEnum":"BAR","optionalAliasedEnum":"ALIAS_BAZ"}"#
        ),
        (#"{"optionalNestedEnum":-1.0}"#, #"{"optionalNestedEnum":"NEG"}"#),
        // base64 for URLs, and without padding.
        (#"{"optionalBytes":"-_-_"}"#, #"{"optionalBytes":"+/+/"}"#),
        (#"{"optionalBytes":"AQ"}"#, #"{"optionalBytes":"AQ=="}"#),
        (#"{"optionalBytes":"AQI"}"#, #"{"optionalBytes":"AQI="}"#),
        // Escapes and white space.
        ("\t{ \"optionalString\"\r\n: \"\\ud83d\\ude42\\u00fc\\/\" } ", #"{"optionalString":"🙂ü/"}"#),
        (#"{"optional\u0049nt32":1}"#, #"{"optionalInt32":1}"#),
        // Fields and entries in any order.
        (#"{"optionalInt64":"1","optionalInt32":2}"#, #"{"optionalInt32":2,"optionalInt64":"1"}"#),
        (#"{"mapInt32Int32":{"1e1":1,"9":2}}"#, #"{"mapInt32Int32":{"9":2,"10":1}}"#),
        (
            #"{"optionalAny":{"value":"1s","@type":"a/google.protobuf.Duration"}}"#,
            #"{"optionalAny":{"@type":"a/google.protobuf.Duration","value":"1s"}}"#
        ),
        // Times.
        (#"{"optionalTimestamp":"2000-01-01T01:30:00.1+01:30"}"#, #"{"optionalTimestamp":"2000-01-01T00:00:00.100Z"}"#),
        (#"{"optionalTimestamp":"1999-12-31T23:00:00-01:00"}"#, #"{"optionalTimestamp":"2000-01-01T00:00:00Z"}"#),
        (#"{"optionalDuration":"1.5s"}"#, #"{"optionalDuration":"1.500s"}"#),
        (#"{"optionalDuration":"-0s"}"#, #"{"optionalDuration":"0s"}"#),
    ])
    func reads(text: String, canonical: String) throws {
        #expect(try TestMessage(jsonString: text).jsonString() == canonical)
    }
}

/// What is refused, where, and why.
@Suite struct RefusalTests {
    @Test(arguments: [
        // Not JSON
        ("", "", JSONError.Code.malformed), ("{", "", .malformed), ("{}x", "", .malformed), ("{}{}", "", .malformed),
        ("\u{feff}{}", "", .malformed), ("{\"optionalInt32\":1,}", "", .malformed),
        ("{'optionalInt32':1}", "", .malformed),
        ("{optionalInt32:1}", "", .malformed), ("{\"optionalInt32\" 1}", "", .malformed), ("// x\n{}", "", .malformed),
        (#"{"optionalInt32":01}"#, "optionalInt32", .malformed),
        (#"{"optionalInt32":+1}"#, "optionalInt32", .malformed),
        (#"{"optionalInt32":1.}"#, "optionalInt32", .malformed),
        (#"{"optionalInt32":.5}"#, "optionalInt32", .malformed),
        (#"{"optionalInt32":-}"#, "optionalInt32", .malformed),
        (#"{"optionalDouble":NaN}"#, "optionalDouble", .malformed),
        (#"{"optionalBool":tru}"#, "optionalBool", .malformed), (#"{"optionalBool":True}"#, "optionalBool", .malformed),
        (#"{"repeatedInt32":[1,]}"#, "repeatedInt32[1]", .malformed),
        (#"{"repeatedInt32":[1 2]}"#, "repeatedInt32", .malformed),
        ("{\"optionalString\":\"\n\"}", "optionalString", .malformed),
        (#"{"optionalString":"\x"}"#, "optionalString", .malformed),
        (#"{"optionalString":"\ud800"}"#, "optionalString", .malformed),
        (#"{"optionalString":"\udc00\ud800"}"#, "optionalString", .malformed),
        (#"{"optionalString":"\ud800\u0041"}"#, "optionalString", .malformed),
        (#"{"optionalString":"\u00g0"}"#, "optionalString", .malformed),
        (#"{"optionalString":"\u12"}"#, "optionalString", .malformed),
        (#"{"optionalString":"x"#, "optionalString", .malformed),
        // Another kind of value
        ("[]", "", .invalidValue), ("null", "", .invalidValue),
        (#"{"optionalString":1}"#, "optionalString", .invalidValue),
        (#"{"optionalBool":"true"}"#, "optionalBool", .invalidValue),
        (#"{"optionalInt32":true}"#, "optionalInt32", .invalidValue),
        (#"{"repeatedInt32":1}"#, "repeatedInt32", .invalidValue),
        (#"{"mapInt32Int32":[]}"#, "mapInt32Int32", .invalidValue),
        (#"{"optionalNestedMessage":[]}"#, "optionalNestedMessage", .invalidValue),
        // Numbers
        (#"{"optionalInt32":2147483648}"#, "optionalInt32", .invalidValue),
        (#"{"optionalInt32":-2147483649}"#, "optionalInt32", .invalidValue),
        (#"{"optionalUint32":-1}"#, "optionalUint32", .invalidValue),
        (#"{"optionalInt64":"9223372036854775808"}"#, "optionalInt64", .invalidValue),
        (#"{"optionalUint64":18446744073709551616}"#, "optionalUint64", .invalidValue),
        (#"{"optionalInt32":0.5}"#, "optionalInt32", .invalidValue),
        (#"{"optionalInt32":1e-1}"#, "optionalInt32", .invalidValue),
        (#"{"optionalInt64":1e99999999999999999999}"#, "optionalInt64", .invalidValue),
        (#"{"optionalInt32":" 1"}"#, "optionalInt32", .invalidValue),
        (#"{"optionalInt32":"1 "}"#, "optionalInt32", .invalidValue),
        (#"{"optionalInt32":""}"#, "optionalInt32", .invalidValue),
        (#"{"optionalInt32":"0x1"}"#, "optionalInt32", .invalidValue),
        (#"{"optionalFloat":3.5e38}"#, "optionalFloat", .invalidValue),
        (#"{"optionalFloat":"-3.5e38"}"#, "optionalFloat", .invalidValue),
        (#"{"optionalDouble":1.8e308}"#, "optionalDouble", .invalidValue),
        (#"{"optionalDouble":"inf"}"#, "optionalDouble", .invalidValue),
        (#"{"optionalDouble":"nan"}"#, "optionalDouble", .invalidValue),
        (#"{"optionalDouble":""}"#, "optionalDouble", .invalidValue),
        // Enums, bytes
        (#"{"optionalNestedEnum":"QUX"}"#, "optionalNestedEnum", .invalidValue),
        (#"{"optionalNestedEnum":"foo"}"#, "optionalNestedEnum", .invalidValue),
        (#"{"optionalNestedEnum":0.5}"#, "optionalNestedEnum", .invalidValue),
        (#"{"optionalNestedEnum":2147483648}"#, "optionalNestedEnum", .invalidValue),
        (#"{"optionalBytes":"A"}"#, "optionalBytes", .invalidValue),
        (#"{"optionalBytes":"A*=="}"#, "optionalBytes", .invalidValue),
        (#"{"optionalBytes":"AQ="}"#, "optionalBytes", .invalidValue),
        (#"{"optionalBytes":"AQ==="}"#, "optionalBytes", .invalidValue),
        (#"{"optionalBytes":"===="}"#, "optionalBytes", .invalidValue),
        // Unknown, twice, null
        (#"{"x":1}"#, "x", .unknownField),
        (#"{"optionalNestedMessage":{"corecursive":{"x":1}}}"#, "optionalNestedMessage.corecursive.x", .unknownField),
        (#"{"optionalInt32":1,"optionalInt32":1}"#, "optionalInt32", .invalidValue),
        (#"{"optionalInt32":1,"optional_int32":1}"#, "optional_int32", .invalidValue),
        (#"{"optionalInt32":null,"optionalInt32":1}"#, "optionalInt32", .invalidValue),
        (#"{"oneofUint32":1,"oneofString":""}"#, "oneofString", .invalidValue),
        (#"{"repeatedInt32":[1,null]}"#, "repeatedInt32[1]", .invalidValue),
        (#"{"repeatedNestedMessage":[null]}"#, "repeatedNestedMessage[0]", .invalidValue),
        (#"{"repeatedTimestamp":[null]}"#, "repeatedTimestamp[0]", .invalidValue),
        (#"{"repeatedInt32Wrapper":[null]}"#, "repeatedInt32Wrapper[0]", .invalidValue),
        (#"{"repeatedListValue":[null]}"#, "repeatedListValue[0]", .invalidValue),
        (#"{"mapStringString":{"a":null}}"#, #"mapStringString["a"]"#, .invalidValue),
        (#"{"mapStringString":{"a":"","a":""}}"#, #"mapStringString["a"]"#, .invalidValue),
        (#"{"mapInt32Int32":{"1":0,"1.0":0}}"#, #"mapInt32Int32["1.0"]"#, .invalidValue),
        (#"{"mapInt32Int32":{"x":0}}"#, #"mapInt32Int32["x"]"#, .invalidValue),
        (#"{"mapBoolBool":{"1":true}}"#, #"mapBoolBool["1"]"#, .invalidValue),
        (#"{"optionalStruct":{"a":1,"a":2}}"#, #"optionalStruct["a"]"#, .invalidValue),
        (#"{"optionalStruct":{"a":[1e999]}}"#, #"optionalStruct["a"][0]"#, .invalidValue),
        // Times and masks
        (#"{"optionalTimestamp":"0000-01-01T00:00:00Z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"10000-01-01T00:00:00Z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"0001-01-01T00:00:00+00:01"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"1900-02-29T00:00:00Z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"2000-01-01T24:00:00Z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"2000-01-01T00:00:60Z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"2000-01-01t00:00:00Z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"2000-01-01T00:00:00z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"2000-01-01T00:00:00"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"2000-01-01T00:00:00.Z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"2000-01-01T00:00:00.0000000001Z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalTimestamp":"2000-01-01 00:00:00Z"}"#, "optionalTimestamp", .invalidValue),
        (#"{"optionalDuration":"1"}"#, "optionalDuration", .invalidValue),
        (#"{"optionalDuration":"s"}"#, "optionalDuration", .invalidValue),
        (#"{"optionalDuration":"+1s"}"#, "optionalDuration", .invalidValue),
        (#"{"optionalDuration":"315576000001s"}"#, "optionalDuration", .invalidValue),
        (#"{"optionalDuration":"99999999999999999999s"}"#, "optionalDuration", .invalidValue),
        (#"{"optionalDuration":"1e3s"}"#, "optionalDuration", .invalidValue),
        (#"{"optionalFieldMask":"foo_bar"}"#, "optionalFieldMask", .invalidValue),
        // Any
        (#"{"optionalAny":{"c":1}}"#, "optionalAny", .invalidValue),
        (#"{"optionalAny":{"@type":"x","c":1}}"#, "optionalAny", .invalidValue),
        (#"{"optionalAny":{"@type":"a/x.Y"}}"#, "optionalAny", .unknownType),
        (#"{"optionalAny":{"@type":1}}"#, "optionalAny", .invalidValue),
        (#"{"optionalAny":{"@type":"a/google.protobuf.Duration"}}"#, "optionalAny", .invalidValue),
        (#"{"optionalAny":{"@type":"a/google.protobuf.Duration","value":"1s","x":1}}"#, "optionalAny.x", .unknownField),
        (
            #"{"optionalAny":{"@type":"a/google.protobuf.Duration","value":"1s","@type":"a/google.protobuf.Duration"}}"#,
            "optionalAny", .invalidValue
        ),
        (
            #"{"optionalAny":{"@type":"a/protobuf_test_messages.proto3.ForeignMessage","d":1}}"#, "optionalAny.d",
            .unknownField
        ),
    ])
    func refuses(text: String, path: String, code: JSONError.Code) throws {
        let error = try #require(throws: JSONError.self) { try TestMessage(jsonString: text) }
        #expect(error.path == path && error.code == code, "\(error)")
        #expect(error.description.hasPrefix(path) && !error.message.contains("\n"))
    }

    @Test func invalidUTF8() throws {
        let text = Array(#"{"optionalString":"?"}"#.utf8).map { $0 == UInt8(ascii: "?") ? 0xff : $0 }
        #expect(throws: JSONError.self) { try TestMessage(jsonUTF8Bytes: text) }
    }

    @Test func placesAreNamed() throws {
        let error = try #require(throws: JSONError.self) {
            try TestMessage(jsonString: "{\n  \"optionalBool\": yes\n}")
        }
        #expect(error.description == "optionalBool: a value is expected (line 2, column 19)")
        let range = try #require(throws: JSONError.self) {
            try TestMessage(jsonString: #"{"repeatedNestedMessage":[{},{"a":1e10}]}"#)
        }
        #expect(
            range.description == "repeatedNestedMessage[1].a: 1e10 is not an int32: "
                + "an integer from -2147483648 to 2147483647 is expected")
    }

    @Test func errorsAreShortAndOnOneLine() throws {
        let name = "a\\n" + String(repeating: "x", count: 1000)
        for text in [#"{"NAME":1}"#, #"{"mapStringString":{"NAME":1}}"#, #"{"optionalDuration":"NAME"}"#] {
            let error = try #require(throws: JSONError.self) {
                try TestMessage(jsonString: text.replacing("NAME", name))
            }
            #expect(!error.description.contains("\n") && error.description.utf8.count < 250)
        }
    }

    @Test func messagesNestedTooDeep() throws {
        func nested(_ count: Int) -> String {
            String(repeating: #"{"recursiveMessage":"#, count: count) + "{}" + String(repeating: "}", count: count)
        }
        #expect(try TestMessage(jsonString: nested(100)).jsonString() == nested(100))
        #expect(throws: JSONError.self) { try TestMessage(jsonString: nested(101)) }
        let lists = String(repeating: "[", count: 100_000)
        #expect(throws: JSONError.self) { try TestMessage(jsonString: #"{"optionalValue":"# + lists) }
        var options = JSONDecodingOptions()
        options.ignoreUnknownFields = true
        #expect(throws: JSONError.self) { try TestMessage(jsonString: #"{"x":"# + lists, options: options) }
        options.messageDepthLimit = 2
        #expect(throws: JSONError.self) { try TestMessage(jsonString: nested(3), options: options) }
        var encoding = JSONEncodingOptions()
        encoding.messageDepthLimit = 2
        let message = try TestMessage(jsonString: nested(3))
        #expect(throws: JSONError.self) { try message.jsonString(options: encoding) }
    }

    @Test func typesMayStandLastButNotInAHundredLevels() throws {
        func nested(_ count: Int) -> String {
            let type = #""@type":"a/google.protobuf.Any""#
            return String(repeating: #"{"value":"#, count: count) + "{}" + String(repeating: ",\(type)}", count: count)
        }
        #expect(try Google_Protobuf_Any(jsonString: nested(10)).is(Google_Protobuf_Any.self))
        let error = try #require(throws: JSONError.self) { try Google_Protobuf_Any(jsonString: nested(90)) }
        #expect(error.code == .tooLarge)
    }

    @Test func sizes() throws {
        var options = JSONDecodingOptions()
        options.textSizeLimit = 10
        let error = try #require(throws: JSONError.self) {
            try TestMessage(jsonString: "{          }", options: options)
        }
        #expect(error.code == .tooLarge)
        options = JSONDecodingOptions()
        options.messageMemoryLimit = 4000
        let text = #"{"repeatedNestedMessage":["# + Array(repeating: "{}", count: 1000).joined(separator: ",") + "]}"
        #expect(
            try #require(throws: JSONError.self) { try TestMessage(jsonString: text, options: options) }.code
                == .tooLarge)
    }
}

/// What a message in memory or on the wire may hold and JSON may not.
@Suite struct UnprintableTests {
    @Test(arguments: [
        (TestMessage.with { $0.optionalTimestamp = .init(seconds: 253_402_300_800) }, "optionalTimestamp"),
        (.with { $0.optionalTimestamp = .init(nanos: -1) }, "optionalTimestamp"),
        (.with { $0.optionalDuration = .init(seconds: 1, nanos: -1) }, "optionalDuration"),
        (.with { $0.optionalDuration = .init(seconds: -315_576_000_001) }, "optionalDuration"),
        (.with { $0.optionalValue = .init() }, "optionalValue"),
        (.with { $0.optionalValue = .init(Double.nan) }, "optionalValue"),
        (.with { $0.optionalStruct = ["a": [.init(Double.infinity)]] }, #"optionalStruct["a"][0]"#),
        (.with { $0.optionalFieldMask = ["fooBar"] }, "optionalFieldMask"),
        (.with { $0.optionalFieldMask = ["foo_3_bar"] }, "optionalFieldMask"),
        (.with { $0.optionalFieldMask = ["foo__bar"] }, "optionalFieldMask"),
        (.with { $0.optionalFieldMask = ["foo_"] }, "optionalFieldMask"),
        (.with { $0.optionalAny = .init(typeURL: "a/x.Y") }, "optionalAny"),
        (.with { $0.optionalAny = .init(value: [1]) }, "optionalAny"),
        (
            .with { $0.optionalAny = .init(typeURL: "a/google.protobuf.StringValue", value: [10, 1, 0xff]) },
            "optionalAny.value"
        ),
        (
            .with { $0.optionalAny = .init(typeURL: "a/google.protobuf.StringValue", value: [10, 2, 0]) },
            "optionalAny.value"
        ),
    ])
    func isRefused(message: TestMessage, path: String) throws {
        let error = try #require(throws: JSONError.self) { try message.jsonString() }
        #expect(error.path == path, "\(error)")
    }
}

@Suite struct OptionTests {
    @Test func unknownFieldsAndEnumNamesCanBeIgnored() throws {
        var options = JSONDecodingOptions()
        options.ignoreUnknownFields = true
        let text = #"""
            {"x":{"y":[1,{"z":"\ud83d\ude42"}]},"optionalInt32":1,"optionalNestedEnum":"QUX","repeatedNestedEnum":["BAR","QUX"],
             "mapStringNestedEnum":{"a":"QUX","b":"BAZ"},"optionalAny":{"@type":"a/google.protobuf.Duration","value":"1s","x":1}}
            """#
        #expect(
            try TestMessage(jsonString: text, options: options).jsonString()
                == #"{"optionalInt32":1,"repeatedNestedEnum":["BAR"],"mapStringNestedEnum":{"b":"BAZ"},"#
                + #""optionalAny":{"@type":"a/google.protobuf.Duration","value":"1s"}}"#)
        #expect(throws: JSONError.self) { try TestMessage(jsonString: #"{"x":[1,]}"#, options: options) }
    }

    @Test func defaultsAndNamesAndLines() throws {
        var options = JSONEncodingOptions()
        options.alwaysPrintFieldsWithNoPresence = true
        options.preserveProtoFieldNames = true
        let message = ProtobufTestMessages_Proto3_ForeignMessage()
        #expect(try message.jsonString(options: options) == #"{"c":0}"#)
        let all = try TestMessage().jsonString(options: options)
        for part in [
            #""optional_int64":"0""#, #""optional_bool":false"#, #""optional_nested_enum":"FOO""#,
            #""map_int32_int32":{}"#,
            #""repeated_string":[]"#, #""optional_bytes":"""#,
        ] { #expect(all.contains(part)) }
        #expect(!all.contains("oneof") && !all.contains("wrapper\":null") && !all.contains("optional_nested_message"))
        #expect(try TestMessage(jsonString: all) == TestMessage())

        options = JSONEncodingOptions()
        options.isPretty = true
        let nested = try TestMessage(
            jsonString: #"{"recursiveMessage":{},"repeatedInt32":[1,2],"mapBoolBool":{"true":true}}"#)
        #expect(
            try nested.jsonString(options: options) == """
                {
                  "recursiveMessage": {},
                  "repeatedInt32": [
                    1,
                    2
                  ],
                  "mapBoolBool": {
                    "true": true
                  }
                }
                """)
    }

    @Test func typesOfOtherFiles() throws {
        let any = Google_Protobuf_Any(Google_Protobuf_Empty())
        #expect(throws: JSONError.self) { try any.jsonString() }
        var options = JSONEncodingOptions()
        options.types = JSONTypeRegistry([Google_Protobuf_EmptySchema.file])
        let text = #"{"@type":"type.googleapis.com/google.protobuf.Empty"}"#
        #expect(try any.jsonString(options: options) == text)
        var decoding = JSONDecodingOptions()
        decoding.types = options.types
        #expect(try Google_Protobuf_Any(jsonString: text, options: decoding) == any)
    }
}

/// Bytes as another encoder may send them.
@Suite struct WireFormTests {
    private func json(_ bytes: [UInt8]) throws -> String {
        String(decoding: try JSONTranscoder.json(bytes, of: TestMessage.descriptor), as: UTF8.self)
    }

    @Test func lastValueWinsAndMessagesMerge() throws {
        #expect(try json([0x08, 1, 0x08, 2]) == #"{"optionalInt32":2}"#)
        // recursive_message {optional_int32: 1}, then {optional_bool: true}.
        #expect(
            try json([0xda, 1, 2, 0x08, 1, 0xda, 1, 2, 0x68, 1])
                == #"{"recursiveMessage":{"optionalInt32":1,"optionalBool":true}}"#)
        // repeated_int32 packed, not packed, and an empty run.
        #expect(try json([0xfa, 1, 2, 1, 2, 0xf8, 1, 3, 0xfa, 1, 0]) == #"{"repeatedInt32":[1,2,3]}"#)
        #expect(try json([0xfa, 1, 0]) == "{}")
    }

    @Test func lastMemberOfAOneofWins() throws {
        // oneof_uint32 (111), then oneof_string (113), then oneof_uint32 again.
        #expect(try json([0xf8, 6, 1, 0x8a, 7, 1, 0x78]) == #"{"oneofString":"x"}"#)
        #expect(try json([0xf8, 6, 1, 0x8a, 7, 1, 0x78, 0xf8, 6, 0]) == #"{"oneofUint32":0}"#)
        // oneof_nested_message (112): what came before another member is gone.
        #expect(
            try json([0x82, 7, 2, 0x08, 1, 0xf8, 6, 1, 0x82, 7, 0]) == #"{"oneofNestedMessage":{}}"#)
    }

    @Test func entriesOfMapsMayLackParts() throws {
        // map_int32_int32 (56): empty, value before key, the key twice.
        #expect(
            try json([0xc2, 3, 0, 0xc2, 3, 4, 0x10, 1, 0x08, 2, 0xc2, 3, 4, 0x08, 2, 0x10, 7])
                == #"{"mapInt32Int32":{"0":0,"2":7}}"#)
    }

    @Test func unknownFieldsAreLeftOut() throws {
        // An unknown group with a field, an unknown varint, and optional_int32 as a string.
        #expect(
            try json([0x83, 0x7d, 0x08, 1, 0x84, 0x7d, 0x80, 0x7d, 1, 0x0a, 1, 0x78, 0x68, 1])
                == #"{"optionalBool":true}"#)
    }

    @Test(
        arguments: [
            [0x08], [0x0b], [0x0c], [0x0f, 0], [0x00, 0], [0x72, 5, 0x78], [0x72, 1, 0xff], [0xfa, 1, 1, 0x80],
            [0x08] + [UInt8](repeating: 0x80, count: 10) + [0], [0x83, 0x7d, 0x08, 1],
        ] as [[UInt8]])
    func brokenBytesAreRefused(bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSONTranscoder.json(bytes, of: TestMessage.descriptor) }
    }
}

extension Message {
    fileprivate static func with(_ change: (inout Self) -> Void) -> Self {
        var message = Self()
        change(&message)
        return message
    }
}

extension String {
    fileprivate func replacing(_ part: String, _ other: String) -> String {
        split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
    }
}
