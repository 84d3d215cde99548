import FletchWellKnownTypes
import FletchWire
import Testing

@Suite struct AnyTests {
    @Test func packsAndUnpacks() throws {
        let any = Google_Protobuf_Any(Google_Protobuf_StringValue("x"))
        #expect(any.typeURL == "type.googleapis.com/google.protobuf.StringValue")
        #expect(any.is(Google_Protobuf_StringValue.self) && !any.is(Google_Protobuf_BytesValue.self))
        #expect(try any.unpacked() == Google_Protobuf_StringValue("x"))
        #expect(try any.unpacked(as: Google_Protobuf_BytesValue.self) == nil)
    }

    @Test(arguments: [
        ("a/google.protobuf.Empty", true), ("a/b/google.protobuf.Empty", true), ("/google.protobuf.Empty", true),
        ("google.protobuf.Empty", false), ("a/", false), ("", false), ("a/xgoogle.protobuf.Empty", false),
    ])
    func typeURLs(url: String, isEmpty: Bool) {
        #expect(Google_Protobuf_Any(typeURL: url, value: []).is(Google_Protobuf_Empty.self) == isEmpty)
    }

    @Test func brokenContentIsRefused() {
        let any = Google_Protobuf_Any(typeURL: "a/google.protobuf.StringValue", value: [0x0a, 1, 0xff])
        #expect(throws: WireError.self) { try any.unpacked(as: Google_Protobuf_StringValue.self) }
    }
}

@Suite struct TimeTests {
    @Test(arguments: [
        (Duration.zero, 0 as Int64, 0 as Int32), (.nanoseconds(1), 0, 1), (.nanoseconds(-1), -1, 999_999_999),
        (.seconds(-1), -1, 0), (Duration(secondsComponent: 0, attosecondsComponent: -1), -1, 999_999_999),
        (Duration(secondsComponent: 1, attosecondsComponent: 1_999_999_999), 1, 1),
        (.seconds(-62_135_596_800), -62_135_596_800, 0), (.seconds(253_402_300_799), 253_402_300_799, 0),
    ])
    func timestamps(sinceEpoch: Duration, seconds: Int64, nanos: Int32) throws {
        let timestamp = try #require(Google_Protobuf_Timestamp(sinceEpoch: sinceEpoch))
        #expect(timestamp == Google_Protobuf_Timestamp(seconds: seconds, nanos: nanos))
        #expect(timestamp.sinceEpoch == .seconds(seconds) + .nanoseconds(Int64(nanos)))
    }

    @Test func timesOutOfRange() {
        #expect(Google_Protobuf_Timestamp(sinceEpoch: .seconds(253_402_300_800)) == nil)
        #expect(Google_Protobuf_Timestamp(sinceEpoch: .seconds(-62_135_596_800) - .nanoseconds(1)) == nil)
        #expect(Google_Protobuf_Timestamp(sinceEpoch: .seconds(Int64.min)) == nil)
        #expect(Google_Protobuf_Timestamp(seconds: 0, nanos: -1).sinceEpoch == nil)
        #expect(Google_Protobuf_Timestamp(seconds: 0, nanos: 1_000_000_000).sinceEpoch == nil)
    }

    @Test(arguments: [
        (Duration.zero, 0 as Int64, 0 as Int32), (.nanoseconds(-1), 0, -1), (.milliseconds(-1500), -1, -500_000_000),
        (Duration(secondsComponent: 0, attosecondsComponent: -1), 0, 0),
        (.seconds(315_576_000_000), 315_576_000_000, 0),
    ])
    func durations(duration: Duration, seconds: Int64, nanos: Int32) throws {
        let message = try #require(Google_Protobuf_Duration(duration))
        #expect(message == Google_Protobuf_Duration(seconds: seconds, nanos: nanos))
        #expect(Duration(message) == .seconds(seconds) + .nanoseconds(Int64(nanos)))
    }

    @Test func durationsOutOfRange() {
        #expect(Google_Protobuf_Duration(.seconds(315_576_000_001)) == nil)
        #expect(Google_Protobuf_Duration(.seconds(Int64.min)) == nil)
        #expect(Duration(Google_Protobuf_Duration(seconds: 1, nanos: -1)) == nil)
        #expect(Duration(Google_Protobuf_Duration(seconds: 0, nanos: 1_000_000_000)) == nil)
        #expect(Duration(Google_Protobuf_Duration(seconds: 0, nanos: .min)) == nil)
    }
}

@Suite struct StructTests {
    @Test func literalsAndAccessors() {
        let value: Google_Protobuf_Value = ["a": [1, 2.5, "x", true, .null], "b": [:]]
        #expect(value["a"]?[0]?.number == 1 && value["a"]?[1]?.number == 2.5)
        #expect(value["a"]?[2]?.string == "x" && value["a"]?[3]?.bool == true && value["a"]?[4]?.isNull == true)
        #expect(value["b"]?.object == Google_Protobuf_Struct() && value["a"]?.list?.values.count == 5)
        #expect(value["c"] == nil && value["a"]?[5] == nil && value["b"]?[0] == nil && value.number == nil)
        #expect(!Google_Protobuf_Value().isNull && Google_Protobuf_Value.null.isNull)
    }

    @Test func membersCanBeSet() {
        var object: Google_Protobuf_Struct = ["a": 1]
        object["b"] = "x"
        object["a"] = .null
        #expect(object == ["a": .null, "b": "x"])
        object["b"] = nil
        #expect(object.fields.count == 1)
    }
}

@Suite struct WrapperTests {
    @Test func literals() {
        let integer: Google_Protobuf_UInt64Value = 7
        let string: Google_Protobuf_StringValue = "x"
        let float: Google_Protobuf_FloatValue = 1.5
        let bool: Google_Protobuf_BoolValue = true
        #expect(integer.value == 7 && string.value == "x" && float.value == 1.5 && bool.value)
        #expect(Google_Protobuf_BytesValue([1]).value == [1])
    }
}

@Suite struct FieldMaskTests {
    @Test func covers() {
        let mask: Google_Protobuf_FieldMask = ["a.b", "c"]
        #expect(mask.covers("a.b") && mask.covers("a.b.c") && mask.covers("c.x"))
        #expect(!mask.covers("a") && !mask.covers("a.bc") && !mask.covers("d"))
    }

    @Test func algebra() {
        let mask: Google_Protobuf_FieldMask = ["b", "a_b", "a.c", "a", "b.x", "b"]
        #expect(mask.canonical == ["a", "a_b", "b"])
        #expect(mask.union(["c"]) == ["a", "a_b", "b", "c"])
        #expect(mask.intersection(["a.x", "c", "b"]) == ["a.x", "b"])
    }
}
