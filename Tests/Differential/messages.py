"""Random messages of any descriptor and mutations of them, as trees of wire-format records.

The bytes are written here and not by a library, so that they can be any bytes that some library might send.
"""

import random
import struct
from dataclasses import dataclass, field

from google.protobuf.descriptor import Descriptor, FieldDescriptor

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)
MAX_DEPTH = 100  # messages within the outermost one; what every library allows

_Type = FieldDescriptor
_VARINT_TYPES = {
    _Type.TYPE_INT32, _Type.TYPE_INT64, _Type.TYPE_UINT32, _Type.TYPE_UINT64, _Type.TYPE_SINT32, _Type.TYPE_SINT64,
    _Type.TYPE_BOOL, _Type.TYPE_ENUM,
}
_FIXED64_TYPES = {_Type.TYPE_FIXED64, _Type.TYPE_SFIXED64, _Type.TYPE_DOUBLE}
_FIXED32_TYPES = {_Type.TYPE_FIXED32, _Type.TYPE_SFIXED32, _Type.TYPE_FLOAT}

STRINGS = [
    "", "a", "\0", "a\0b", "ASCII text", "Grüße", "你好", "🏳️‍🌈", "é", "e\u0301", "\u1e9b\u0323", "\ufb01", "\u00c5", "\u212b",
    "\u200f\u202e", "\ufeff", "\uffff", "\U0010ffff", "\x7f", "\ud7ff", "x" * 127, "x" * 128, "ß" * 8192, "long" * 5000,
]
INVALID_UTF8 = [b"\xff", b"\x80", b"\xc0\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x80\x80\x80", b"ok\xc3"]
DOUBLES = [
    b"\0" * 8, b"\0" * 7 + b"\x80", *(struct.pack("<d", value) for value in (1.0, -1.5, 0.1, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf"))),
    bytes.fromhex("010000000000f07f"), bytes.fromhex("efbeadde0000f87f"), bytes.fromhex("ffffffffffffffff"),
]
FLOATS = [
    b"\0" * 4, b"\0\0\0\x80", *(struct.pack("<f", value) for value in (1.0, -1.5, 1e-45, 3.4028234e38, float("inf"), -float("inf"))),
    bytes.fromhex("0100807f"), bytes.fromhex("efbec07f"), bytes.fromhex("ffffffff"),
]
INTEGERS = [0, 1, -1, 2, 63, 64, -64, -65, 127, 128, 255, 16383, 16384, 2**21, 2**28, 2**31 - 1, -(2**31), 2**31, 2**32 - 1, 2**32, 2**35, 2**63 - 1, -(2**63), 2**64 - 1]
ENUM_NUMBERS = [0, 1, 2, 3, -1, -2, 100, 2**31 - 1, -(2**31)]


@dataclass
class Record:
    """One field as it is on the wire; `value` is an int (varint), bytes, or a list of records (message or group)."""

    number: int
    wire_type: int
    value: int | bytes | list["Record"]
    descriptor: Descriptor | None = None  # of the message that `value` holds
    elements: list[bytes] | None = None  # of a packed run, which `value` holds
    padding: dict[str, int] = field(default_factory=dict)  # bytes by which tag, length or varint are over-long
    closing: int | None = None  # the number of a group's end where it is another, 0 for none

    def encode(self) -> bytes:
        tag = varint(self.number << 3 | self.wire_type, self.padding.get("tag", 0))
        if self.wire_type == VARINT:
            return tag + varint(self.value, self.padding.get("value", 0))
        payload = self.value if isinstance(self.value, bytes) else encode(self.value)
        if self.wire_type == LENGTH:
            return tag + varint(len(payload), self.padding.get("length", 0)) + payload
        if self.wire_type == START_GROUP:
            number = self.number if self.closing is None else self.closing
            return tag + payload + (varint(number << 3 | END_GROUP) if number else b"")
        return tag + payload


def encode(records: list[Record]) -> bytes:
    return b"".join(record.encode() for record in records)


def varint(value: int, padding: int = 0) -> bytes:
    """A varint of 64 bits, longer than needed by `padding` bytes."""
    value &= 2**64 - 1
    groups = []
    while not groups or value:
        groups.append(value & 0x7F)
        value >>= 7
    groups += [0] * padding
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


def is_map(field: FieldDescriptor) -> bool:
    return field.type == _Type.TYPE_MESSAGE and field.message_type.GetOptions().map_entry


def wire_type(field: FieldDescriptor) -> int:
    if field.type in _VARINT_TYPES:
        return VARINT
    return FIXED64 if field.type in _FIXED64_TYPES else FIXED32 if field.type in _FIXED32_TYPES else LENGTH


class MessageSource:
    """Random messages, valid ones and others."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.budget = 0

    # Valid messages

    def message(self, descriptor: Descriptor) -> list[Record]:
        """A valid message: fields by number, map entries whole, at most one member of a oneof."""
        self.budget = self.rng.choice([5, 30, 30, 120])
        if self.rng.random() < 0.03:
            return self._deep(descriptor, self.rng.randint(90, MAX_DEPTH - 1))
        return self._fields(descriptor, depth=self.rng.randint(0, 6), density=self.rng.choice([0.15, 0.5, 1.0]))

    def _fields(self, descriptor: Descriptor, depth: int, density: float) -> list[Record]:
        chosen_members = {oneof.name: self.rng.choice(oneof.fields).number for oneof in descriptor.oneofs}
        records: list[Record] = []
        for field in sorted(descriptor.fields, key=lambda field: field.number):
            oneof = field.containing_oneof
            if self.rng.random() > density or (oneof and chosen_members[oneof.name] != field.number):
                continue
            records += self.field(field, depth, density)
        return records

    def field(self, field: FieldDescriptor, depth: int, density: float = 0.5) -> list[Record]:
        """The records of one field, as many as an encoder would write."""
        if not field.is_repeated:
            return [self._single(field, depth, density)] if self._allows(field, depth) else []
        count = self.rng.choice([0, 1, 2, 3]) if self.rng.random() < 0.95 else self.rng.choice([20, 300])
        if field.type == _Type.TYPE_MESSAGE:
            count = min(count, 20, max(self.budget, 0))
        if is_map(field):
            return self._entries(field, depth, count)
        if field.is_packed:
            return [self.packed(field, [self.scalar_bytes(field) for _ in range(count)])] if count else []
        return [self._single(field, depth, density) for _ in range(count) if self._allows(field, depth)]

    def _allows(self, field: FieldDescriptor, depth: int) -> bool:
        self.budget -= 1
        return field.type != _Type.TYPE_MESSAGE or (depth > 0 and self.budget > 0)

    def _entries(self, field: FieldDescriptor, depth: int, count: int) -> list[Record]:
        entry = field.message_type
        key, value = entry.fields_by_number[1], entry.fields_by_number[2]
        records: dict[bytes, Record] = {}
        for _ in range(count):
            if not self._allows(value, depth - 1):
                break
            pair = [self._single(key, 0, 0), self._single(value, depth - 1, 0.5)]
            records[pair[0].encode()] = Record(field.number, LENGTH, pair, entry)
        return list(records.values())

    def _single(self, field: FieldDescriptor, depth: int, density: float) -> Record:
        if field.type == _Type.TYPE_MESSAGE:
            type = field.message_type
            return Record(field.number, LENGTH, self._fields(type, depth - 1, density), type)
        return self.scalar(field)

    def scalar(self, field: FieldDescriptor) -> Record:
        if field.type == _Type.TYPE_STRING:
            return Record(field.number, LENGTH, self._text().encode())
        if field.type == _Type.TYPE_BYTES:
            return Record(field.number, LENGTH, self.rng.choice([self._text().encode(), self.rng.randbytes(self.rng.randint(0, 20)), b"\0", b""]))
        if wire_type(field) == VARINT:
            return Record(field.number, VARINT, self._integer(field))
        return Record(field.number, wire_type(field), self._fixed(field))

    def scalar_bytes(self, field: FieldDescriptor) -> bytes:
        """One number without its tag."""
        return varint(self._integer(field)) if wire_type(field) == VARINT else self._fixed(field)

    def packed(self, field: FieldDescriptor, elements: list[bytes]) -> Record:
        return Record(field.number, LENGTH, b"".join(elements), elements=elements)

    def _text(self) -> str:
        return self.rng.choice(STRINGS[:-3] * 3 + STRINGS[-3:])

    def _integer(self, field: FieldDescriptor) -> int:
        """As an encoder writes it: in the type's range, sign-extended, zigzag."""
        value = self.rng.choice(INTEGERS) if self.rng.random() < 0.8 else self.rng.getrandbits(self.rng.randint(1, 64))
        bits = 32 if field.type in (_Type.TYPE_INT32, _Type.TYPE_UINT32, _Type.TYPE_SINT32) else 64
        match field.type:
            case _Type.TYPE_BOOL:
                return value & 1
            case _Type.TYPE_ENUM:
                return self.rng.choice(ENUM_NUMBERS + [value.number for value in field.enum_type.values])
            case _Type.TYPE_INT32 | _Type.TYPE_INT64:
                return _signed(value, bits)
            case _Type.TYPE_SINT32 | _Type.TYPE_SINT64:
                value = _signed(value, bits)
                return (value << 1) ^ (value >> (bits - 1))
            case _:
                return value & (2**bits - 1)

    def _fixed(self, field: FieldDescriptor) -> bytes:
        width = 8 if wire_type(field) == FIXED64 else 4
        if field.type == _Type.TYPE_DOUBLE and self.rng.random() < 0.8:
            return self.rng.choice(DOUBLES)
        if field.type == _Type.TYPE_FLOAT and self.rng.random() < 0.8:
            return self.rng.choice(FLOATS)
        return (self.rng.choice(INTEGERS) & (2 ** (8 * width) - 1)).to_bytes(width, "little")

    def _deep(self, descriptor: Descriptor, depth: int) -> list[Record]:
        """One field in another, `depth` times, where the type allows it; maps' entries are messages, too."""
        holders = [field for field in descriptor.fields if field.type == _Type.TYPE_MESSAGE]
        if depth <= 0 or not holders:
            return self._fields(descriptor, 0, 0.2)
        # The deepest types lead on; a leaf would end it.
        field = max(holders, key=lambda field: (self._leads_on(field.message_type), self.rng.random()))
        if is_map(field):
            value = field.message_type.fields_by_number[2]
            if value.type != _Type.TYPE_MESSAGE or depth < 2:
                return self._fields(descriptor, 0, 0.2)
            inner = [Record(2, LENGTH, self._deep(value.message_type, depth - 2), value.message_type)]
            return [Record(field.number, LENGTH, inner, field.message_type)]
        return [Record(field.number, LENGTH, self._deep(field.message_type, depth - 1), field.message_type)]

    @staticmethod
    def _leads_on(descriptor: Descriptor) -> bool:
        return any(field.type == _Type.TYPE_MESSAGE for field in descriptor.fields)

    # Mutations

    def mutated(self, descriptor: Descriptor) -> bytes:
        """A message that an encoder would have written otherwise or not at all."""
        records = self.message(descriptor)
        for _ in range(self.rng.choice([1, 1, 2, 4])):
            target, type = self._place(records, descriptor)
            self.rng.choice([
                self._duplicate, self._duplicate, self._shuffle, self._repack, self._repack, self._unknown, self._unknown, self._wrong_type,
                self._wrong_type, self._pad, self._default, self._break_entry, self._break_entry, self._break_text, self._too_deep,
            ])(target, type)
        encoded = encode(records)
        if self.rng.random() < 0.3:
            encoded = self._spoil(encoded)
        return encoded

    def _place(self, records: list[Record], descriptor: Descriptor) -> tuple[list[Record], Descriptor]:
        """The message itself or one within it."""
        while self.rng.random() < 0.6:
            inner = [record for record in records if record.descriptor]
            if not inner:
                break
            record = self.rng.choice(inner)
            records, descriptor = record.value, record.descriptor
        return records, descriptor

    def _insert(self, records: list[Record], new: list[Record]) -> None:
        for record in new:
            records.insert(self.rng.randint(0, len(records)), record)

    def _field_of(self, descriptor: Descriptor) -> FieldDescriptor | None:
        return self.rng.choice(descriptor.fields) if descriptor.fields else None

    def _duplicate(self, records: list[Record], descriptor: Descriptor) -> None:
        """Fields once more with other values, members of one oneof among them."""
        self.budget = 30
        for _ in range(self.rng.randint(1, 3)):
            field = self._field_of(descriptor)
            if field:
                self._insert(records, self.field(field, depth=3))

    def _shuffle(self, records: list[Record], descriptor: Descriptor) -> None:
        self.rng.shuffle(records)

    def _repack(self, records: list[Record], descriptor: Descriptor) -> None:
        """Packed runs split up, unpacked, empty, and numbers packed that are not declared so."""
        repeated = [field for field in descriptor.fields if field.is_repeated and field.type in _VARINT_TYPES | _FIXED64_TYPES | _FIXED32_TYPES]
        # A packed run of a field that is not repeated is an unknown field.
        singular = [field for field in descriptor.fields if not field.is_repeated and wire_type(field) != LENGTH]
        for field in repeated[:3] + self.rng.sample(singular, min(len(singular), self.rng.choice([0, 0, 1]))):
            for _ in range(self.rng.randint(0, 3)):
                elements = [self.scalar_bytes(field) for _ in range(self.rng.randint(0, 3))]
                if self.rng.random() < 0.5:
                    self._insert(records, [self.packed(field, elements)])
                else:
                    self._insert(records, [self.scalar(field) for _ in elements])

    def _unknown(self, records: list[Record], descriptor: Descriptor) -> None:
        number = self.rng.choice([1, 15, 16, 2047, 2048, 19_000, 536_870_911, self.rng.randint(1, 2**29 - 1)])
        if number not in descriptor.fields_by_number:
            self._insert(records, [self._any_record(number, depth=3)])

    def _wrong_type(self, records: list[Record], descriptor: Descriptor) -> None:
        field = self._field_of(descriptor)
        if field:
            self._insert(records, [self._any_record(field.number, depth=2)])

    def _any_record(self, number: int, depth: int) -> Record:
        kind = self.rng.choice([VARINT, FIXED64, LENGTH, START_GROUP, FIXED32])
        if kind == VARINT:
            return Record(number, kind, self.rng.choice(INTEGERS))
        if kind == START_GROUP:
            inner = [self._any_record(self.rng.randint(1, 20), depth - 1) for _ in range(self.rng.randint(0, 3))] if depth else []
            group = Record(number, kind, inner)
            if self.rng.random() < 0.1:
                group.closing = self.rng.choice([0, number + 1 if number < 2**29 - 1 else 1])
            return group
        size = {FIXED64: 8, FIXED32: 4}.get(kind, self.rng.randint(0, 10))
        return Record(number, kind, self.rng.choice([b"\0" * size, b"\x08" * size, self.rng.randbytes(size)]))

    def _pad(self, records: list[Record], descriptor: Descriptor) -> None:
        """Varints longer than need be: still right where they are no longer than a varint may be."""
        if records:
            record = self.rng.choice(records)
            part = self.rng.choice(["tag", "length", "value"])
            record.padding[part] = self.rng.choice([1, 1, 2, 3, 4, 5, 8, 9, 10])

    def _default(self, records: list[Record], descriptor: Descriptor) -> None:
        """Values that an encoder leaves out; numbers with more bits than their type."""
        field = self._field_of(descriptor)
        if not field:
            return
        kind = wire_type(field)
        if kind == VARINT:
            self._insert(records, [Record(field.number, kind, self.rng.choice(INTEGERS))])
        else:
            self._insert(records, [Record(field.number, kind, b"" if kind == LENGTH else b"\0" * (8 if kind == FIXED64 else 4))])

    def _break_entry(self, records: list[Record], descriptor: Descriptor) -> None:
        """Map entries without key or value, turned round, with either twice, with unknown fields, for one key twice."""
        maps = [field for field in descriptor.fields if is_map(field)]
        if not maps:
            return self._duplicate(records, descriptor)
        field = self.rng.choice(maps)
        entry = field.message_type
        self.budget = 30
        for _ in range(self.rng.randint(1, 3)):
            pairs = [record for number in (1, 2, 1, 2) for record in self.field(entry.fields_by_number[number], depth=3)]
            pairs = self.rng.sample(pairs, self.rng.randint(0, len(pairs)))
            if self.rng.random() < 0.3:
                pairs.append(self._any_record(self.rng.choice([1, 2, 3]), depth=1))
            self._insert(records, [Record(field.number, LENGTH, pairs, entry)])

    def _break_text(self, records: list[Record], descriptor: Descriptor) -> None:
        texts = [field for field in descriptor.fields if field.type == _Type.TYPE_STRING]
        if texts and self.rng.random() < 0.5:
            self._insert(records, [Record(self.rng.choice(texts).number, LENGTH, self.rng.choice(INVALID_UTF8))])

    def _too_deep(self, records: list[Record], descriptor: Descriptor) -> None:
        """Messages or unknown groups about as deep as is allowed."""
        depth = MAX_DEPTH + self.rng.randint(-3, 3)
        if self.rng.random() < 0.3:
            nest: list[Record] = []
            for _ in range(depth):
                nest = [Record(15_000, START_GROUP, nest)]
            self._insert(records, nest)
        elif self.rng.random() < 0.3:
            self._insert(records, self._deep(descriptor, depth))

    def _spoil(self, encoded: bytes) -> bytes:
        """Bytes cut off, flipped, inserted, removed, or put before others."""
        spoilt = bytearray(encoded)
        place = self.rng.randrange(len(spoilt)) if spoilt else 0
        match self.rng.randrange(6):
            case 0:
                del spoilt[place:]
            case 1 if spoilt:
                spoilt[place] ^= 1 << self.rng.randrange(8)
            case 2:
                spoilt[place:place] = self.rng.randbytes(self.rng.randint(1, 3))
            case 3:
                del spoilt[place : place + self.rng.randint(1, 3)]
            case 4:
                spoilt += spoilt[:place]
            case 5:
                spoilt = bytearray(self.rng.randbytes(self.rng.randint(1, 40)))
        return bytes(spoilt)


def _signed(value: int, bits: int) -> int:
    value &= 2**bits - 1
    return value - 2**bits if value >> (bits - 1) else value
