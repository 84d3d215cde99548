"""What libraries must agree on, and where they may differ."""

import math
import unicodedata
from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

import canonical
import drivers
import messages

# Where libraries differ by right: each with its reason. A message for which one of these holds is counted under its name,
# and only what the difference leaves open is not compared.
ENTRY_WITH_UNKNOWN_FIELDS = "excused: map entry with unknown fields"
"""upb keeps such an entry as an unknown field of the message; C++, Java, Go, Swift and Fletch keep the entry and drop its
unknown fields. Only acceptance is compared."""

EQUIVALENT_KEYS = "excused: map keys that are one String"
"""Swift's Strings are equal where they are canonically equivalent, so a Dictionary has one entry for such keys, in
Fletch as in swift-protobuf. The value's bytes are not compared; the view's meaning is."""

LONG_TAG = "excused: over-long tag of an unknown field"
"""upb keeps unknown fields to the byte; Fletch, C++ and Java keep number, type and content and write the tag anew.
Compared with such tags written anew in upb's encoding, too."""

NAN = "not equal after a round trip"
"""A NaN is not equal to itself, so neither is a value that holds one. This one law is not expected of it."""


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


def compare(oracle: Upb, message: bytes, answer: drivers.Answer, is_valid: bool) -> Verdict:
    """Judges Fletch's answer by upb's."""
    if answer.refusal == drivers.CRASH:
        return Verdict("crash", True, "the driver crashed")
    parsed = oracle.parse(message)
    if parsed is None:
        if answer.refusal is not None:
            return Verdict("refused by both", is_valid, f"a valid message: {answer.refusal}")
        return Verdict("accepted, refused by upb", True, _show(message=message, value=answer.encodings[0]))
    if answer.refusal is not None:
        return Verdict("refused, accepted by upb", True, answer.refusal + _show(message=message))
    try:
        return _compare_encodings(oracle, parsed, message, answer)
    except canonical.EntryWithUnknownFields:
        return Verdict(ENTRY_WITH_UNKNOWN_FIELDS)


def _compare_encodings(oracle: Upb, parsed: Message, message: bytes, answer: drivers.Answer) -> Verdict:
    expected = oracle.canonical(parsed)
    verdict = _compare_with(expected, oracle, parsed, message, answer)
    if verdict.is_disagreement and (minimal := oracle.canonical(parsed, minimal_tags=True)) != expected:
        verdict = _compare_with(minimal, oracle, parsed, message, answer)
        return verdict if verdict.is_disagreement else Verdict(LONG_TAG)
    return verdict


def _compare_with(expected: bytes, oracle: Upb, parsed: Message, message: bytes, answer: drivers.Answer) -> Verdict:
    value, view = answer.encodings
    if (meaning := oracle.meaning(view)) != expected:
        return Verdict("view means something else", True, _show(message=message, expected=expected, view=view, meaning=meaning))
    if value != expected:
        if has_equivalent_keys(parsed):
            return Verdict(EQUIVALENT_KEYS)
        outcome = "value has other bytes" if oracle.meaning(value) == expected else "value means something else"
        return Verdict(outcome, True, _show(message=message, expected=expected, value=value))
    broken = [law for law in answer.broken_laws if not (law == NAN and holds_nan(parsed))]
    if broken:
        return Verdict("broken law: " + ", ".join(broken), True, _show(message=message))
    return Verdict("accepted by both")


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
