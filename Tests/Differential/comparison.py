"""What libraries must agree on, and where they may differ."""

import json
import math
import unicodedata
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

import canonical
import drivers
import messages

# Where libraries differ by right. A message is counted under the name of the difference that it shows; what the
# difference leaves open is compared all the same.

ENTRY_WITH_UNKNOWN_FIELDS = "excused: map entry with unknown fields"
"""upb keeps such an entry, and one with a field of another wire type, as an unknown field of the message; swift-protobuf
refuses it or reads a wrong key. C++, Java, Go and Fletch keep the entry and drop what is unknown in it."""

FIELD_NUMBER_ZERO = "excused: field number 0 in an unknown group"
"""upb goes past unknown groups without looking at the field numbers in them; Fletch refuses 0, as C++ does."""

LONG_TAG = "excused: over-long tag of an unknown field"
"""upb and swift-protobuf keep unknown fields to the byte; Fletch, C++ and Java keep number, type and content and write the
tag anew. Compared with such tags written anew in the oracle's encoding, too."""

EQUIVALENT_KEYS = "excused: map keys that are one String"
"""Swift's Strings are equal where they are canonically equivalent, so a Dictionary has one entry for such keys, in Fletch
as in swift-protobuf. The value's bytes are not compared; the view's meaning is."""

ORDER_OF_STRINGS = "excused: order of string keys"
"""swift-protobuf takes keys in the order of Swift's Strings, Fletch and C++ in that of their UTF-8. Compared in one order."""

DEPTH = "excused: levels counted otherwise"
"""swift-protobuf does not count the entries of maps, and counts a group as two. upb counts as Fletch does, and is held to it."""

LONG_VARINT = "excused: tag or length of over five bytes"
"""swift-protobuf reads tags and lengths of up to ten bytes; upb, C++ and Fletch of up to five."""

UNREADABLE_JSON = "excused: JSON that its writer does not read"
"""Python refuses some of what it writes itself, such as the largest float. What is written is compared."""

NAN_LAW = "not equal after a round trip"
"""The one law of the driver that is not expected of a value with a NaN, which is not equal to itself."""


def is_clash_of_names(error: str) -> bool:
    """Whether the generator refused a schema because two of its names are one in Swift: an answer, not a fault."""
    return " in Swift; " in error


@dataclass
class Verdict:
    """`outcome` is what is counted; `detail` is for people."""

    outcome: str
    is_disagreement: bool = False
    detail: str = ""


class Upb:
    """Python's protobuf over upb, for one message type."""

    def __init__(self, message_class: type[Message]) -> None:
        self.message_class = message_class

    def parse(self, data: bytes) -> Message | None:
        try:
            return self.message_class.FromString(data)
        except DecodeError:
            return None

    def canonical(self, message: Message, minimal_tags: bool = False) -> bytes:
        return canonical.ordered(self.message_class.DESCRIPTOR, message.SerializeToString(deterministic=True), minimal_tags)

    def meaning(self, data: bytes) -> bytes | None:
        """The canonical encoding of what the bytes say; None where upb refuses them."""
        message = self.parse(data)
        return None if message is None else self.canonical(message)

    def json(self, message: Message) -> str:
        return json_format.MessageToJson(message, descriptor_pool=self.message_class.DESCRIPTOR.file.pool)

    def parse_json(self, text: str | bytes) -> Message:
        return json_format.Parse(text, self.message_class(), descriptor_pool=self.message_class.DESCRIPTOR.file.pool)


def compare(oracle: Upb, message: bytes, answer: drivers.Answer, is_valid: bool) -> Verdict:
    """Judges Fletch's answer by upb's."""
    if answer.refusal == drivers.CRASH:
        return Verdict("crash", True, "the driver crashed" + _show(message=message))
    parsed = oracle.parse(message)
    if parsed is None and is_valid:
        return Verdict("upb refuses a valid message", True, _show(message=message))
    try:
        if parsed is None or answer.refusal is not None:
            return _compare_refusals(oracle, parsed, message, answer)
        return _compare_encodings(oracle, parsed, message, answer)
    except canonical.EntryWithUnknownFields:
        return Verdict(ENTRY_WITH_UNKNOWN_FIELDS)


def _compare_refusals(oracle: Upb, parsed: Message | None, message: bytes, answer: drivers.Answer) -> Verdict:
    if parsed is None:
        if answer.refusal is not None:
            return Verdict("refused by both")
        return Verdict("accepted, refused by the other", True, _show(message=message, value=answer.encodings[0]))
    try:
        oracle.canonical(parsed, minimal_tags=True)
    except canonical.FieldNumberZero:
        return Verdict(FIELD_NUMBER_ZERO)
    except canonical.EntryWithUnknownFields:
        pass
    return Verdict("refused, accepted by the other", True, answer.refusal + _show(message=message))


def _compare_encodings(oracle: Upb, parsed: Message, message: bytes, answer: drivers.Answer) -> Verdict:
    expected = oracle.canonical(parsed)
    verdict = _compare_with(expected, oracle, parsed, message, answer)
    if verdict.is_disagreement and (minimal := oracle.canonical(parsed, minimal_tags=True)) != expected:
        verdict = _compare_with(minimal, oracle, parsed, message, answer)
        return verdict if verdict.is_disagreement else Verdict(LONG_TAG)
    return verdict


def _compare_with(expected: bytes, oracle: Upb, parsed: Message, message: bytes, answer: drivers.Answer) -> Verdict:
    value, view = answer.encodings[:2]
    if (meaning := oracle.meaning(view)) != expected:
        return Verdict("view means something else", True, _show(message=message, expected=expected, view=view, meaning=meaning))
    if value != expected:
        if has_equivalent_keys(parsed):
            return Verdict(EQUIVALENT_KEYS)
        outcome = "value has other bytes" if oracle.meaning(value) == expected else "value means something else"
        return Verdict(outcome, True, _show(message=message, expected=expected, value=value))
    broken = [law for law in answer.broken_laws if not (law == NAN_LAW and holds_nan(parsed))]
    if broken:
        return Verdict("broken law: " + ", ".join(broken), True, _show(message=message))
    return Verdict("accepted by both")


def compare_json(upb: Upb, message: bytes, answer: drivers.Answer) -> Verdict:
    """Judges Fletch's JSON by that of Python's protobuf: both have the same to say, and read Fletch's text alike."""
    parsed = upb.parse(message)
    if parsed is None or answer.refusal is not None:
        return Verdict("refused by both")  # what is not so is found by the encodings
    value, _, text, encoded = answer.encodings
    try:
        expected = upb.json(parsed)
    except (json_format.Error, TypeError, ValueError) as error:
        if not text:
            return Verdict("no JSON by both")
        return Verdict("JSON, refused by the other", True, f"{error}\njson     {text[:1000].decode()}{_show(message=message)}")
    if not text:
        return Verdict("no JSON, but by the other", True, f"{_show(message=message)}\nexpected {expected[:1000]}")
    if has_equivalent_keys(parsed):
        return Verdict(EQUIVALENT_KEYS)
    if json.loads(text) != json.loads(expected):
        return Verdict("other JSON", True, f"{_show(message=message)}\njson     {text[:1000].decode()}\nexpected {expected[:1000]}")
    try:
        meaning = upb.parse_json(text)
    except json_format.ParseError as error:
        try:
            upb.parse_json(expected)
        except json_format.ParseError:
            return Verdict(UNREADABLE_JSON)
        return Verdict("JSON that the other does not read", True, f"{error}\njson     {text[:1000].decode()}")
    if upb.canonical(meaning) != encoded:
        return Verdict("JSON is read otherwise", True, f"\njson     {text[:1000].decode()}{_show(message=message, expected=upb.canonical(meaning), value=encoded)}")
    return Verdict("accepted by both")


def compare_with_swift(upb: Upb, message: bytes, answer: drivers.Answer, oracle: drivers.Answer) -> Verdict:
    """Judges Fletch's answer by swift-protobuf's."""
    if answer.refusal is not None and oracle.refusal is not None:
        return Verdict("refused by both")
    parsed = upb.parse(message)
    refusal = answer.refusal or oracle.refusal
    if refusal is None:
        verdict = _compare_with_swift(upb.message_class.DESCRIPTOR, message, answer.encodings[0], oracle.encodings[0])
    else:
        outcome = "refused, accepted by the other" if answer.refusal else "accepted, refused by the other"
        verdict = Verdict(outcome, True, refusal + _show(message=message))
    if not verdict.is_disagreement:
        return verdict
    if refusal and (refusal.startswith("tooDeep") or "DepthLimit" in refusal):
        return Verdict(DEPTH)
    if answer.refusal and parsed is None and any(part in answer.refusal for part in ("tag", "length", "unknown field that is broken")):
        return Verdict(LONG_VARINT)
    if parsed is not None and canonical.has_foreign_entry(upb.message_class.DESCRIPTOR, message):
        return Verdict(ENTRY_WITH_UNKNOWN_FIELDS)
    return verdict


def _compare_with_swift(descriptor: Descriptor, message: bytes, value: bytes, expected: bytes) -> Verdict:
    if value == expected:
        return Verdict("accepted by both")
    for outcome, minimal_tags in ((ORDER_OF_STRINGS, False), (LONG_TAG, True)):
        if canonical.ordered(descriptor, value, minimal_tags) == canonical.ordered(descriptor, expected, minimal_tags):
            return Verdict(outcome)
    return Verdict("value has other bytes", True, _show(message=message, expected=expected, value=value))


def holds_nan(message: Message) -> bool:
    return any(isinstance(value, float) and math.isnan(value) for value in _leaves(message))


def has_equivalent_keys(message: Message) -> bool:
    """Whether some map has two keys that are equal Strings in Swift."""
    return any(len({unicodedata.normalize("NFC", key) for key in map}) < len(map) for map in _string_maps(message))


def _leaves(message: Message):
    """Every number, string and bytes in a message."""
    for field, value in message.ListFields():
        if messages.is_map(field):
            values = list(value.keys()) + list(value.values())
        else:
            values = value if field.is_repeated else [value]
        for element in values:
            if isinstance(element, Message):
                yield from _leaves(element)
            else:
                yield element


def _string_maps(message: Message):
    for field, value in message.ListFields():
        if messages.is_map(field):
            if field.message_type.fields_by_number[1].type == FieldDescriptor.TYPE_STRING:
                yield value
            values = value.values()
        else:
            values = value if field.is_repeated else [value]
        for element in values:
            if isinstance(element, Message):
                yield from _string_maps(element)


def _show(**encodings: bytes | None) -> str:
    return "".join(f"\n{name:<8} {'refused' if data is None else data[:1000].hex()}" for name, data in encodings.items())
