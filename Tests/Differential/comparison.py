"""What libraries must agree on, and where they may differ."""

from dataclasses import dataclass

from google.protobuf.message import DecodeError, EncodeError, Message

import drivers


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

    def canonical(self, data: bytes) -> bytes | None:
        """The deterministic encoding of what the bytes say; None where upb refuses them."""
        message = self.parse(data)
        return None if message is None else message.SerializeToString(deterministic=True)


def compare(oracle: Upb, message: bytes, answer: drivers.Answer, is_valid: bool) -> Verdict:
    """Judges a driver's answer by upb's."""
    try:
        expected = oracle.canonical(message)
    except EncodeError as error:
        return Verdict("upb does not encode", True, str(error))
    if answer.refusal == drivers.CRASH:
        return Verdict("crash", True, "the driver crashed")
    if expected is None:
        if answer.refusal is not None:
            return Verdict("refused by both", is_valid, f"a valid message: {answer.refusal}")
        return Verdict("accepted, refused by upb", True, f"{_text(message)}\nvalue {_text(answer.encodings[0])}")
    if answer.refusal is not None:
        return Verdict("refused, accepted by upb", True, f"{answer.refusal}\nmessage {_text(message)}\nexpected {_text(expected)}")
    value, view = answer.encodings
    for name, encoding in (("value", value), ("view", view)):
        meaning = oracle.canonical(encoding)
        if meaning != expected:
            return Verdict(f"{name} means something else", True, f"\nmessage  {_text(message)}\nexpected {_text(expected)}\nmeaning  {_text(meaning)}")
    if value != expected:
        return Verdict("value has other bytes", True, f"\nmessage  {_text(message)}\nexpected {_text(expected)}\nvalue    {_text(value)}")
    if answer.broken_laws:
        return Verdict("broken law: " + answer.broken_laws, True, _text(message))
    return Verdict("accepted by both")


def _text(data: bytes | None) -> str:
    return "refused" if data is None else data[:600].hex()
