"""The JSON mapping beside Python's (upb), over protobuf's own test message, and what upstream's conformance tests ask."""

import importlib
import json
import os
import random
import struct
import subprocess

import harness
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

TESTEE = os.environ.get("FLETCH_CONFORMANCE_TESTEE", str(harness.ROOT / ".build/release/conformance-testee"))
PROTOS = harness.ROOT / "Tests/Conformance/Protos"
TEST_MESSAGE = "protobuf_test_messages.proto3.TestAllTypesProto3"
WELL_KNOWN = ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers")
SEEDS = range(40)
MESSAGES_PER_SEED = 100


@pytest.fixture(scope="module")
def message_class(tmp_path_factory):
    """The Python class of any message of the conformance tests, by full name."""
    for name in WELL_KNOWN:
        importlib.import_module(f"google.protobuf.{name}_pb2")
    path = tmp_path_factory.mktemp("conformance") / "set.binpb"
    files = ["conformance.proto", "test_messages_proto3.proto"]
    include = [f"-I{PROTOS}", f"-I{harness.ROOT / 'proto'}"]
    subprocess.run(["protoc", *include, f"--descriptor_set_out={path}", *files], check=True)
    pool = descriptor_pool.Default()
    for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
        pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


class Peer:
    """The program that protobuf's conformance tests would talk to."""

    def __init__(self, message_class):
        self.Request = message_class("conformance.ConformanceRequest")
        self.Response = message_class("conformance.ConformanceResponse")
        self.process = subprocess.Popen([TESTEE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, requested_output_format, test_category=2, **payload):
        request = self.Request(
            message_type=TEST_MESSAGE,
            requested_output_format=requested_output_format,
            test_category=test_category,
            **payload,
        ).SerializeToString()
        self.process.stdin.write(struct.pack("<I", len(request)) + request)
        self.process.stdin.flush()
        (size,) = struct.unpack("<I", self.process.stdout.read(4))
        return self.Response.FromString(self.process.stdout.read(size))

    def json(self, **payload):
        """The answer in JSON, parsed; None where it was refused."""
        response = self.ask(2, **payload)
        return json.loads(response.json_payload) if response.HasField("json_payload") else None

    def binary(self, **payload):
        response = self.ask(1, **payload)
        assert response.HasField("protobuf_payload"), response
        return response.protobuf_payload


@pytest.fixture(scope="module")
def testee(message_class):
    testee = Peer(message_class)
    yield testee
    testee.process.stdin.close()
    assert testee.process.wait(timeout=10) == 0


# Messages at random


STRINGS = ["", "x", "ü", "日本", "🙂", 'quote " and \\', "\n\t\0\x1f\x7f", "</script>", "a" * 300, "\u2028"]
DOUBLES = [0.0, -0.0, 1.0, -1.5, 0.1, 1e16, 1e22, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf"), float("nan")]
FLOATS = [0.0, -0.0, 1.0, 0.1, 16777216.0, 3.4028234663852886e38, 1.17549435e-38, float("inf"), float("nan")]


class Maker:
    """Fills messages with what is awkward and with what is random."""

    def __init__(self, seed, message_class):
        self.random = random.Random(seed)
        self.message_class = message_class

    def integer(self, low, high):
        awkward = [low, high, 0, 1, max(low, -1), 1 << 24, (1 << 31) - 1]
        return self.random.choice(awkward) if self.random.random() < 0.5 else self.random.randint(low, high)

    def double(self):
        if self.random.random() < 0.5:
            return self.random.choice(DOUBLES)
        value = struct.unpack("<d", self.random.randbytes(8))[0]
        return value if value == value else float("nan")

    def float(self):
        if self.random.random() < 0.5:
            return self.random.choice(FLOATS)
        value = struct.unpack("<f", self.random.randbytes(4))[0]
        if value != value:
            return float("nan")
        # Python writes subnormal numbers with more digits than they need.
        return value if abs(value) >= 1.1754944e-38 else 0.0

    def string(self):
        return self.random.choice(STRINGS) + self.random.choice(STRINGS)

    def scalar(self, field):
        kind = field.type
        if kind in (field.TYPE_INT32, field.TYPE_SINT32, field.TYPE_SFIXED32):
            return self.integer(-(1 << 31), (1 << 31) - 1)
        if kind in (field.TYPE_INT64, field.TYPE_SINT64, field.TYPE_SFIXED64):
            return self.integer(-(1 << 63), (1 << 63) - 1)
        if kind in (field.TYPE_UINT32, field.TYPE_FIXED32):
            return self.integer(0, (1 << 32) - 1)
        if kind in (field.TYPE_UINT64, field.TYPE_FIXED64):
            return self.integer(0, (1 << 64) - 1)
        if kind == field.TYPE_DOUBLE:
            return self.double()
        if kind == field.TYPE_FLOAT:
            return self.float()
        if kind == field.TYPE_BOOL:
            return self.random.random() < 0.5
        if kind == field.TYPE_STRING:
            return self.string()
        if kind == field.TYPE_BYTES:
            return self.random.randbytes(self.random.randrange(6))
        if field.enum_type.full_name == "google.protobuf.NullValue":
            return 0
        return self.random.choice([0, 1, 2, -1, 77, (1 << 31) - 1])

    def fill(self, message, depth):
        special = getattr(self, "fill_" + message.DESCRIPTOR.full_name.rsplit(".", 1)[1], None)
        if special and message.DESCRIPTOR.full_name.startswith("google.protobuf."):
            return special(message, depth)
        message.SetInParent()
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < 0.25:
                self.fill_field(message, field, depth)

    def fill_field(self, message, field, depth):
        is_message = field.type == field.TYPE_MESSAGE
        if is_message and depth == 0:
            return
        if is_message and field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields
            for _ in range(self.random.randrange(1, 4)):
                entry = getattr(message, field.name)
                if value.type == value.TYPE_MESSAGE:
                    self.fill(entry[self.scalar(key)], depth - 1)
                else:
                    entry[self.scalar(key)] = self.scalar(value)
        elif field.is_repeated:
            for _ in range(self.random.randrange(1, 4)):
                values = getattr(message, field.name)
                if is_message:
                    self.fill(values.add(), depth - 1)
                else:
                    values.append(self.scalar(field))
        elif is_message:
            self.fill(getattr(message, field.name), depth - 1)
        else:
            setattr(message, field.name, self.scalar(field))

    def fill_Timestamp(self, message, depth):
        message.SetInParent()
        message.seconds = self.integer(-62135596800, 253402300799)
        message.nanos = self.random.choice([0, 1, 1000, 120_000_000, 999_999_999])

    def fill_Duration(self, message, depth):
        message.SetInParent()
        message.seconds = self.random.choice([0, 1, 315576000000, self.random.randrange(1 << 30)])
        message.nanos = self.random.choice([0, 1, 1000, 120_000_000, 999_999_999]) * (message.seconds < 315576000000)
        if self.random.random() < 0.5:
            message.seconds, message.nanos = -message.seconds, -message.nanos

    def fill_FieldMask(self, message, depth):
        message.SetInParent()
        message.paths.extend(self.random.sample(["a", "foo_bar", "foo_bar.baz_q", "x1"], self.random.randrange(4)))

    def fill_Struct(self, message, depth):
        message.SetInParent()
        for _ in range(self.random.randrange(4)):
            self.fill_Value(message.fields[self.string()], depth - 1)

    def fill_ListValue(self, message, depth):
        message.SetInParent()
        for _ in range(self.random.randrange(4)):
            self.fill_Value(message.values.add(), depth - 1)

    def fill_Value(self, message, depth):
        kind = self.random.randrange(6 if depth > 0 else 4)
        if kind == 0:
            message.null_value = 0
        elif kind == 1:
            value = self.double()
            message.number_value = value if abs(value) < float("inf") else 1.5
        elif kind == 2:
            message.string_value = self.string()
        elif kind == 3:
            message.bool_value = self.random.random() < 0.5
        elif kind == 4:
            self.fill_Struct(message.struct_value, depth - 1)
        else:
            self.fill_ListValue(message.list_value, depth - 1)

    def fill_Any(self, message, depth):
        message.SetInParent()
        if self.random.random() < 0.1 or depth <= 0:
            return
        names = ["Any", "Duration", "Empty", "FieldMask", "Int64Value", "ListValue", "StringValue", "Struct", "Timestamp", "Value"]
        name = self.random.choice([TEST_MESSAGE] + [f"google.protobuf.{name}" for name in names])
        content = self.message_class(name)()
        self.fill(content, depth - 1)
        message.Pack(content, deterministic=True)


def meaning(message, message_class):
    """A message as values that compare, whatever the order of its maps; an Any by what it holds."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any" and message.type_url:
        content = message_class(message.TypeName()).FromString(message.value)
        return message.type_url, meaning(content, message_class)

    def value(field, value):
        if field.type == field.TYPE_MESSAGE:
            return meaning(value, message_class)
        # NaN is unlike itself, and -0 is like 0.
        return struct.pack("<d", value) if isinstance(value, float) else value

    def content(field, values):
        if field.type == field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            of = field.message_type.fields_by_name["value"]
            return {key: value(of, values[key]) for key in values}
        return [value(field, element) for element in values] if field.is_repeated else value(field, values)

    return {field.name: content(field, values) for field, values in message.ListFields()}


@pytest.mark.parametrize("seed", SEEDS)
def test_random_messages_are_what_python_makes_of_them(testee, message_class, seed):
    maker = Maker(seed, message_class)
    Message = message_class(TEST_MESSAGE)
    for _ in range(MESSAGES_PER_SEED):
        message = Message()
        maker.fill(message, depth=3)
        encoded = message.SerializeToString(deterministic=True)
        text = json_format.MessageToJson(message)
        assert testee.json(protobuf_payload=encoded) == json.loads(text)
        ours = testee.binary(json_payload=text)
        assert meaning(Message.FromString(ours), message_class) == meaning(message, message_class)
        # To the byte what the same message in binary becomes, unless Python put one of its own into an Any.
        if "type.googleapis.com" not in text:
            assert ours == testee.binary(protobuf_payload=encoded)


# What upstream's conformance tests ask, by their names: what a text becomes, None where it must be refused

CASES = {
    "HelloWorld": ('{"optionalString":"Hello, World!"}', {"optionalString": "Hello, World!"}),
    "FieldNameWithNumbers": ('{"field0name5":5,"field0Name6":6}', {"field0name5": 5, "field0Name6": 6}),
    "FieldNameWithMixedCases": ('{"fieldName7":7,"FieldName8":8,"FieldName10":1}', {"fieldName7": 7, "FieldName8": 8, "FieldName10": 1}),
    "FieldNameWithDoubleUnderscores": ('{"FieldName13":13,"fieldName15":15}', {"FieldName13": 13, "fieldName15": 15}),
    "OriginalProtoFieldName": ('{"__field_name13":13,"field__Name16":16}', {"FieldName13": 13, "fieldName16": 16}),
    "FieldNameEscaped": (r'{"fieldn\u0061me1":1}', {"fieldname1": 1}),
    "StringEndsWithEscapeChar": (r'{"optionalString":"abc\ ', None),
    "FieldNameNotQuoted": ("{fieldname1:1}", None),
    "TrailingCommaInAnObject": ('{"fieldname1":1,}', None),
    "JsonWithComments": ('{/*x*/"fieldname1":1}', None),
    "SpacesOnly": (" \t\r\n", None),
    "MissingCommaOneLine": ('{"fieldname1":1 "fieldName2":2}', None),
    "FieldNameDuplicate": ('{"optionalNestedMessage":{},"optionalNestedMessage":{}}', None),
    "FieldNameDuplicateDifferentCasing": ('{"optional_nested_message":{},"optionalNestedMessage":{}}', None),
    "NullTopLevel": ("null", None),
    "Int32FieldTooLarge": ('{"optionalInt32":2147483648}', None),
    "Int64FieldTooSmall": ('{"optionalInt64":"-9223372036854775809"}', None),
    "Uint64FieldTooLarge": ('{"optionalUint64":"18446744073709551616"}', None),
    "Int32FieldFloatTrailingZero": ('{"optionalInt32":1.000000}', {"optionalInt32": 1}),
    "Int32FieldExponentialFormat": ('{"optionalInt32":1e5}', {"optionalInt32": 100000}),
    "Int32FieldMaxFloatValue": ('{"optionalInt32":2.147483647e9}', {"optionalInt32": 2147483647}),
    "Uint32FieldMaxFloatValue": ('{"optionalUint32":4.294967295e9}', {"optionalUint32": 4294967295}),
    "Int32FieldNotNumber": ('{"optionalInt32":"3x3"}', None),
    "Int32FieldPlusSign": ('{"optionalInt32":+1}', None),
    "Int32FieldLeadingZero": ('{"optionalInt32":01}', None),
    "Int32FieldNegativeWithLeadingZero": ('{"optionalInt32":-01}', None),
    "Int32FieldLeadingSpace": ('{"optionalInt32":" 1"}', None),
    "BoolFieldIntegerOne": ('{"optionalBool":1}', None),
    "BoolFieldDoubleQuotedTrue": ('{"optionalBool":"true"}', None),
    "FloatFieldNanNotQuoted": ('{"optionalFloat":NaN}', None),
    "FloatFieldInfinity": ('{"optionalFloat":"Infinity"}', {"optionalFloat": "Infinity"}),
    "FloatFieldTooLarge": ('{"optionalFloat":3.502823e+38}', None),
    "DoubleFieldTooSmall": ('{"optionalDouble":-1.89769e+308}', None),
    "EnumFieldWithAliasLowerCase": ('{"optionalAliasedEnum":"moo"}', {"optionalAliasedEnum": "ALIAS_BAZ"}),
    "EnumFieldNumericValueNonZero": ('{"optionalNestedEnum":1}', {"optionalNestedEnum": "BAR"}),
    "EnumFieldUnknownValue": ('{"optionalNestedEnum":123}', {"optionalNestedEnum": 123}),
    "EnumFieldNotQuoted": ('{"optionalNestedEnum":FOO}', None),
    "StringFieldUnicodeEscapeWithLowercaseHexLetters": (r'{"optionalString":"\u8c37\u6B4C"}', {"optionalString": "谷歌"}),
    "StringFieldSurrogatePair": (r'{"optionalString":"\uD83D\uDE01"}', {"optionalString": "😁"}),
    "StringFieldUnpairedLowSurrogate": (r'{"optionalString":"\uDE01"}', None),
    "StringFieldUppercaseEscapeLetter": (r'{"optionalString":"\U8C37"}', None),
    "BytesFieldBase64Url": ('{"optionalBytes":"-_"}', {"optionalBytes": "+w=="}),
    "OneofFieldDuplicate": ('{"oneofUint32":1,"oneofString":"x"}', None),
    "OneofFieldNullFirst": ('{"oneofUint32":null,"oneofString":"x"}', {"oneofString": "x"}),
    "MapFieldKeyIsNull": ('{"mapInt32Int32":{null:1}}', None),
    "MapFieldValueIsNull": ('{"mapInt32Int32":{"0":null}}', None),
    "BoolMapEscapedKey": (r'{"mapBoolBool":{"tr\u0075e":true}}', {"mapBoolBool": {"true": True}}),
    "RepeatedFieldWrongElementTypeExpectingStringsGotInt": ('{"repeatedString":[1,"x"]}', None),
    "RepeatedFieldPrimitiveElementIsNull": ('{"repeatedInt32":[1,null,2]}', None),
    "RepeatedFieldTrailingComma": ('{"repeatedInt32":[1,]}', None),
    "DurationJsonInputTooLarge": ('{"optionalDuration":"315576000001.000000000s"}', None),
    "DurationMissingS": ('{"optionalDuration":"1"}', None),
    "DurationNegativeNanos": ('{"optionalDuration":"-0.5s"}', {"optionalDuration": "-0.500s"}),
    "TimestampJsonInputTooSmall": ('{"optionalTimestamp":"0000-01-01T00:00:00Z"}', None),
    "TimestampJsonInputLowercaseT": ('{"optionalTimestamp":"0001-01-01t00:00:00Z"}', None),
    "TimestampWithNegativeOffset": ('{"optionalTimestamp":"1969-12-31T16:00:00-08:00"}', {"optionalTimestamp": "1970-01-01T00:00:00Z"}),
    "FieldMaskInvalidCharacter": ('{"optionalFieldMask":"foo,bar_bar"}', None),
    "AnyWithValueForInteger": (
        '{"optionalAny":{"value":12345,"@type":"type.googleapis.com/google.protobuf.Int32Value"}}',
        {"optionalAny": {"@type": "type.googleapis.com/google.protobuf.Int32Value", "value": 12345}},
    ),
    "AnyWithNoType": ('{"optionalAny":{}}', {"optionalAny": {}}),
    "AnyUnknownType": ('{"optionalAny":{"@type":"type.googleapis.com/unknown.Type"}}', None),
    "ValueAcceptNull": ('{"optionalValue":null}', {"optionalValue": None}),
    "RejectUnknownField": ('{"unknownField":1}', None),
}


@pytest.mark.parametrize("name", CASES)
def test_what_upstream_asks(testee, name):
    text, expected = CASES[name]
    assert testee.json(json_payload=text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"recursiveMessage":' * 100_000,
        '{"optionalValue":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"optionalInt64":' + "1" * 1_000_000 + "}",
        '{"optionalDouble":1e' + "9" * 1_000_000 + "}",
        '{"optionalAny":{"@type":"a/google.protobuf.Any","value":' * 10_000,
        '{"optionalString":"' + "\\ud800" * 100_000 + '"}',
    ],
    ids=["arrays", "messages", "values", "digits", "exponent", "any", "surrogates"],
)
def test_hostile_text_is_refused(testee, text):
    response = testee.ask(2, json_payload=text)
    assert response.HasField("parse_error") and len(response.parse_error) < 100_000


@pytest.mark.parametrize("category, expected", [(2, None), (3, {"optionalInt32": 1, "repeatedNestedEnum": ["BAR"]})])
def test_what_is_unknown_is_ignored_where_that_is_asked_for(testee, category, expected):
    text = '{"x":{"y":[1]},"optionalInt32":1,"optionalNestedEnum":"QUX","repeatedNestedEnum":["BAR","QUX"]}'
    assert testee.json(json_payload=text, test_category=category) == expected
