"""The differential tests notice what they are to notice: right answers pass, each wrong one does not."""

import random

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import canonical
import comparison
import messages
import schemas
from drivers import CRASH, Answer

FILE = descriptor_pb2.FileDescriptorProto(name="m.proto", syntax="proto3")
MESSAGE = FILE.message_type.add(name="M")
ENTRY = MESSAGE.nested_type.add(name="CountsEntry", options={"map_entry": True})
ENTRY.field.add(name="key", number=1, type="TYPE_SINT32", label="LABEL_OPTIONAL")
ENTRY.field.add(name="value", number=2, type="TYPE_MESSAGE", type_name=".M", label="LABEL_OPTIONAL")
MESSAGE.field.add(name="text", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
MESSAGE.field.add(name="numbers", number=2, type="TYPE_INT64", label="LABEL_REPEATED")
MESSAGE.field.add(name="counts", number=3, type="TYPE_MESSAGE", type_name=".M.CountsEntry", label="LABEL_REPEATED")
MESSAGE.field.add(name="real", number=4, type="TYPE_DOUBLE", label="LABEL_OPTIONAL")
POOL = descriptor_pool.DescriptorPool()
POOL.Add(FILE)
M = message_factory.GetMessageClass(POOL.FindMessageTypeByName("M"))
UPB = comparison.Upb(M)

ENCODED = M(text="a", numbers=[1, -1], counts={3: M(), -3: M(text="b")}).SerializeToString()


def verdict(value: bytes | None, view: bytes | None = None, laws: list[str] = [], message: bytes = ENCODED) -> comparison.Verdict:
    answer = Answer("refused", [], []) if value is None else Answer(None, [value, value if view is None else view], laws)
    return comparison.compare(UPB, message, answer, is_valid=False)


def right(message: bytes) -> bytes:
    return UPB.meaning(message)


def test_right_answers_pass():
    source = messages.MessageSource(random.Random(1))
    for _ in range(300):
        message = messages.encode(source.message(M.DESCRIPTOR))
        assert verdict(right(message), message=message).outcome == "accepted by both"


def test_entries_are_taken_in_the_order_of_their_keys():
    keys = [canonical.records(payload[1:]).__next__()[3] for number, _, _, payload in canonical.records(right(ENCODED)) if number == 3]
    assert keys == [messages.varint(5), messages.varint(6)]  # -3 and 3 in zigzag


@pytest.mark.parametrize(
    "wrong",
    [
        dict(value=None),
        dict(value=b""),
        dict(value=right(ENCODED) + b"\x20\x01"),
        dict(value=right(ENCODED).replace(b"b", b"c")),
        dict(value=ENCODED[3:] + ENCODED[:3]),  # the same meaning, the fields in another order
        dict(value=right(ENCODED), view=ENCODED[:3]),
        dict(value=right(ENCODED), laws=["encoding is not stable"]),
        dict(value=right(ENCODED), laws=[comparison.NAN_LAW]),
        dict(value=b"", message=b"\x0a\x01\xff"),  # not UTF-8
    ],
)
def test_wrong_answers_do_not_pass(wrong: dict):
    assert verdict(**wrong).is_disagreement


def test_a_crash_does_not_pass():
    assert comparison.compare(UPB, b"", Answer(CRASH, [], []), is_valid=True).is_disagreement


def test_a_nan_excuses_its_one_law():
    message = M(real=float("nan")).SerializeToString()
    assert not verdict(message, laws=[comparison.NAN_LAW], message=message).is_disagreement
    assert verdict(message, laws=["another law"], message=message).is_disagreement


@pytest.mark.parametrize(
    ("value", "oracle", "passes"),
    [(ENCODED, ENCODED, True), (ENCODED, ENCODED[3:], False), (None, ENCODED, False), (ENCODED, None, False), (None, None, True)],
)
def test_swift_protobuf_is_compared_byte_for_byte(value: bytes | None, oracle: bytes | None, passes: bool):
    answers = [Answer("refused", [], []) if encoded is None else Answer(None, [encoded], []) for encoded in (value, oracle)]
    assert comparison.compare_with_swift(UPB, ENCODED, *answers).is_disagreement != passes


def test_a_seed_repeats_its_schema_and_messages():
    assert schemas.random_schema("1", "s1", []) == schemas.random_schema("1", "s1", [])
    assert schemas.random_schema("1", "s1", []) != schemas.random_schema("2", "s1", [])
    first, second = (messages.MessageSource(random.Random("1")) for _ in range(2))
    assert [first.mutated(M.DESCRIPTOR) for _ in range(50)] == [second.mutated(M.DESCRIPTOR) for _ in range(50)]
