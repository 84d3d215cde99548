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

FIELD_NUMBER_ZERO = "excused: field number 0"
"""upb does not look at the numbers of fields in unknown groups and in messages of no fields; Fletch refuses 0, as C++ does."""

LONG_TAG = "excused: over-long tag of an unknown field"
"""upb and swift-protobuf keep unknown fields to the byte; Fletch, C++ and Java keep number, type and content and write the
tag anew. Compared with such tags written anew in the oracle's encoding, too."""

EQUIVALENT_KEYS = "excused: map keys that are one String"
"""Swift's Strings are equal where they are canonically equivalent, so a Dictionary has one entry for such keys. swift-protobuf
drops the others; Fletch keeps them with the unknown fields, so its bytes are in another order than upb's but mean the same.
JSON has one of the entries, and is not compared."""

ORDER_OF_STRINGS = "excused: order of string keys"
"""swift-protobuf takes keys in the order of Swift's Strings, Fletch and C++ in that of their UTF-8. Compared in one order."""

DEPTH = "excused: levels counted otherwise"
"""swift-protobuf does not count the entries of maps, and counts a group as two. upb counts as Fletch does, and is held to it."""

ONLY_SWIFT = "excused: only swift-protobuf accepts"
"""swift-protobuf reads tags and lengths of up to ten bytes, upb, C++ and Fletch of up to five; it does not look at what is
unknown in the entries of maps, such as a group that does not end."""

UNREADABLE_JSON = "excused: JSON that its writer does not read"
"""Python refuses some of what it writes itself, such as the largest float. What is written is compared."""

VALUE_OF_NO_KIND = "excused: google.protobuf.Value of no kind"
"""Python writes null, as which it does not come back; Fletch, C++ and Go refuse it."""

FIELD_MASK = "excused: field mask with other than ASCII"
"""Python takes letters of all alphabets for upper case in a path; names of fields are ASCII, and only that is looked at."""

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
        # Python's json reads -0 as an integer, which has no sign then; JSON's numbers are not of either kind.
        value = json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))
        return json_format.ParseDict(value, self.message_class(), descriptor_pool=self.message_class.DESCRIPTOR.file.pool)

    def reads_json(self, text: str) -> bool:
        try:
            self.parse_json(text)
        except json_format.ParseError:
            return False
        return True


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
    if canonical.has_field_number_zero(oracle.message_class.DESCRIPTOR, message):
        return Verdict(FIELD_NUMBER_ZERO)
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
        means_the_same = oracle.meaning(value) == expected
        if means_the_same and has_equivalent_keys(parsed):
            return Verdict(EQUIVALENT_KEYS)
        outcome = "value has other bytes" if means_the_same else "value means something else"
        return Verdict(outcome, True, _show(message=message, expected=expected, value=value))
    broken = [law for law in answer.broken_laws if not (law == NAN_LAW and holds_nan(parsed))]
    if broken:
        return Verdict("broken law: " + ", ".join(broken), True, _show(message=message))
    return Verdict("accepted by both")


def compare_json(upb: Upb, message: bytes, answer: drivers.Answer) -> Verdict:
    """Judges Fletch's JSON by Python's: both say the same, Fletch's text is read alike by both, and nothing is lost."""
    parsed = upb.parse(message)
    if parsed is None or answer.refusal is not None:
        return Verdict("refused by both")  # what is not so is found by the encodings
    if has_equivalent_keys(parsed):
        return Verdict(EQUIVALENT_KEYS)
    parsed.DiscardUnknownFields()
    text, encoded = answer.encodings[2:]
    try:
        expected = upb.json(parsed)
    except (json_format.Error, TypeError, ValueError) as error:
        if not text:
            return Verdict("no JSON by both")
        if "must not contain uppercase letters" in str(error) and not text.isascii():
            return Verdict(FIELD_MASK)
        return Verdict("JSON, refused by the other", True, f"{error}\njson     {_text(text)}")
    detail = f"{_show(message=message)}\njson     {_text(text)}\nexpected {_text(expected.encode())}"
    if not text:
        return Verdict(VALUE_OF_NO_KIND) if has_value_of_no_kind(parsed) else Verdict("no JSON, but by the other", True, detail)
    if not _is_same_json(json.loads(text), json.loads(expected)):
        return Verdict("other JSON", True, detail)
    if not holds_nan(parsed) and not has_one_form_for_several(parsed) and upb.canonical(parsed) != encoded:
        return Verdict("JSON comes back as another message", True, detail + _show(expected=upb.canonical(parsed), value=encoded))
    try:
        meaning = upb.canonical(upb.parse_json(text))
    except json_format.ParseError as error:
        return Verdict("JSON that the other does not read", True, f"{error}{detail}") if upb.reads_json(expected) else Verdict(UNREADABLE_JSON)
    return Verdict("accepted by both") if meaning == encoded else Verdict("JSON is read otherwise", True, detail + _show(expected=meaning, value=encoded))


def _is_same_json(left: object, right: object) -> bool:
    """Whether two texts say the same; Python writes float's smallest numbers with more digits than it takes."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_is_same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_same_json, left, right))
    return left == right or (isinstance(left, float) and isinstance(right, float) and math.isclose(left, right, rel_tol=0, abs_tol=2**-149))


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
    if answer.refusal and parsed is None and any(part in answer.refusal for part in ("tag", "length", "unknown field")):
        return Verdict(ONLY_SWIFT)
    if parsed is not None and has_equivalent_keys(parsed):
        return Verdict(EQUIVALENT_KEYS)
    if parsed is not None and canonical.has_foreign_entry(upb.message_class.DESCRIPTOR, message):
        return Verdict(ENTRY_WITH_UNKNOWN_FIELDS)
    return verdict


def _compare_with_swift(descriptor: Descriptor, message: bytes, value: bytes, expected: bytes) -> Verdict:
    if value == expected:
        return Verdict("accepted by both")
    try:
        for outcome, minimal_tags in ((ORDER_OF_STRINGS, False), (LONG_TAG, True)):
            if canonical.ordered(descriptor, value, minimal_tags) == canonical.ordered(descriptor, expected, minimal_tags):
                return Verdict(outcome)
    except canonical.EntryWithUnknownFields:
        pass  # an entry as it came, which Fletch kept for its key
    return Verdict("value has other bytes", True, _show(message=message, expected=expected, value=value))


def holds_nan(message: Message) -> bool:
    return any(isinstance(value, float) and math.isnan(value) for value in _leaves(message))


def has_value_of_no_kind(message: Message) -> bool:
    """Whether a google.protobuf.Value somewhere has no kind set."""
    return any(inner.DESCRIPTOR.full_name == "google.protobuf.Value" and inner.WhichOneof("kind") is None for inner in _messages(message))


def has_one_form_for_several(message: Message) -> bool:
    """Whether JSON writes something of a message as it writes something else: any google.protobuf.NullValue is null, a field
    mask of one empty path is one of none."""
    for inner in _messages(message):
        if inner.DESCRIPTOR.full_name == "google.protobuf.FieldMask" and list(inner.paths) == [""]:
            return True
        for field, _ in inner.ListFields():
            is_null = field.enum_type is not None and field.enum_type.full_name == "google.protobuf.NullValue"
            if is_null and not (field.name == "null_value" and inner.null_value == 0):
                return True
    return False


def has_equivalent_keys(message: Message) -> bool:
    """Whether some map has two keys that are equal Strings in Swift."""
    return any(len({unicodedata.normalize("NFC", key) for key in map}) < len(map) for map in _string_maps(message))


def _messages(message: Message):
    """A message and all those within it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for element in _elements(field, value):
            if isinstance(element, Message):
                yield from _messages(element)


def _leaves(message: Message):
    """Every number, string and bytes in a message, but for the keys of maps."""
    for inner in _messages(message):
        for field, value in inner.ListFields():
            yield from (element for element in _elements(field, value) if not isinstance(element, Message))


def _string_maps(message: Message):
    for inner in _messages(message):
        for field, value in inner.ListFields():
            if messages.is_map(field) and field.message_type.fields_by_number[1].type == FieldDescriptor.TYPE_STRING:
                yield value


def _elements(field: FieldDescriptor, value):
    if messages.is_map(field):
        return value.values()
    return value if field.is_repeated else [value]


def _text(text: bytes) -> str:
    return text[:1000].decode(errors="replace")


def _show(**encodings: bytes | None) -> str:
    return "".join(f"\n{name:<8} {'refused' if data is None else data[:1000].hex()}" for name, data in encodings.items())
