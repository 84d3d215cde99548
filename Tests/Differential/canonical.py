"""The one encoding that libraries must agree on: upb's deterministic one with the entries of maps by their keys.

upb takes the entries of a map in the order of its hash tables, other libraries in that of the keys: numbers by their
value, strings by their UTF-8 bytes.
"""

import functools
import struct

from google.protobuf.descriptor import Descriptor, FieldDescriptor

import messages

_Type = FieldDescriptor
_SIGNED_VARINTS = {_Type.TYPE_INT32, _Type.TYPE_INT64}
_ZIGZAG = {_Type.TYPE_SINT32, _Type.TYPE_SINT64}
_FIXED = {_Type.TYPE_FIXED32: "<I", _Type.TYPE_SFIXED32: "<i", _Type.TYPE_FIXED64: "<Q", _Type.TYPE_SFIXED64: "<q"}


class EntryWithUnknownFields(Exception):
    """upb keeps a map entry that has unknown fields as an unknown field of the message."""


class FieldNumberZero(Exception):
    """upb does not look at the field numbers within an unknown group or a message without fields."""


@functools.cache
def holds_maps(descriptor: Descriptor) -> bool:
    """Whether some message that can be within one of the type has a map."""
    return any(messages.is_map(field) for type in reachable(descriptor) for field in type.fields)


def reachable(descriptor: Descriptor) -> list[Descriptor]:
    """The type and all types that its fields lead to."""
    found = {descriptor.full_name: descriptor}
    pending = [descriptor]
    while pending:
        for field in pending.pop().fields:
            type = field.message_type
            if type is not None and type.full_name not in found:
                found[type.full_name] = type
                pending.append(type)
    return list(found.values())


def ordered(descriptor: Descriptor, encoded: bytes, minimal_tags: bool = False) -> bytes:
    """upb's encoding of a message with the entries of its maps in order, and with `minimal_tags` no tag longer than need be.

    Raises EntryWithUnknownFields where upb took entries for unknown fields, and FieldNumberZero.
    """
    if not holds_maps(descriptor) and not minimal_tags:
        return encoded
    output: list[bytes] = []
    entries: dict[int, list[tuple[object, bytes]]] = {}
    places: dict[int, int] = {}
    for number, wire_type, tag, payload in records(encoded):
        field = descriptor.fields_by_number.get(number)
        if minimal_tags:
            tag = messages.varint(number << 3 | wire_type)
        if field is None or wire_type != messages.LENGTH or field.message_type is None:
            output.append(tag + payload)
        elif messages.is_map(field):
            if number not in places:
                places[number] = len(output)
                output.append(b"")
            entries.setdefault(number, []).append(_entry(field.message_type, tag, payload, minimal_tags))
        else:
            output.append(_delimited(tag, ordered(field.message_type, _content(payload), minimal_tags)))
    for number, place in places.items():
        output[place] = b"".join(entry for _, entry in sorted(entries[number], key=lambda entry: entry[0]))
    return b"".join(output)


def has_field_number_zero(descriptor: Descriptor, encoded: bytes) -> bool:
    """Whether somewhere in a message that upb accepts a field has the number 0."""
    try:
        return any(
            has_field_number_zero(field.message_type, _content(payload))
            for number, wire_type, _, payload in records(encoded)
            if wire_type == messages.LENGTH and (field := descriptor.fields_by_number.get(number)) and field.message_type is not None
        )
    except FieldNumberZero:
        return True


def has_foreign_entry(descriptor: Descriptor, encoded: bytes) -> bool:
    """Whether somewhere in a message that upb accepts an entry of a map has fields that its schema does not name."""
    if not holds_maps(descriptor):
        return False
    for number, wire_type, _, payload in records(encoded):
        field = descriptor.fields_by_number.get(number)
        if field is None or field.message_type is None or wire_type != messages.LENGTH:
            continue
        content = _content(payload)
        if messages.is_map(field):
            named = {(inner.number, messages.wire_type(inner)) for inner in field.message_type.fields}
            if any(record[:2] not in named for record in records(content)):
                return True
        if has_foreign_entry(field.message_type, content):
            return True
    return False


def _entry(descriptor: Descriptor, tag: bytes, payload: bytes, minimal_tags: bool) -> tuple[object, bytes]:
    """The key of an encoded entry, and the entry in order."""
    content = list(records(_content(payload)))
    if [record[:2] for record in content] != [(number, messages.wire_type(descriptor.fields_by_number[number])) for number in (1, 2)]:
        raise EntryWithUnknownFields
    (_, _, key_tag, key), (_, value_type, value_tag, value) = content
    field = descriptor.fields_by_number[2]
    if field.message_type is not None and value_type == messages.LENGTH:
        value = _delimited(b"", ordered(field.message_type, _content(value), minimal_tags))
    return _key(descriptor.fields_by_number[1], key), _delimited(tag, key_tag + key + value_tag + value)


def _key(field: FieldDescriptor, payload: bytes) -> object:
    if field.type == _Type.TYPE_STRING:
        return _content(payload)
    if field.type in _FIXED:
        return struct.unpack(_FIXED[field.type], payload)[0]
    value, _ = read_varint(payload, 0)
    if field.type in _ZIGZAG:
        return (value >> 1) ^ -(value & 1)
    return value - 2**64 if field.type in _SIGNED_VARINTS and value >> 63 else value


def _content(payload: bytes) -> bytes:
    """What follows a length."""
    _, start = read_varint(payload, 0)
    return payload[start:]


def _delimited(tag: bytes, content: bytes) -> bytes:
    return tag + messages.varint(len(content)) + content


def records(encoded: bytes):
    """The fields of a valid message: number, wire type, the bytes of the tag, the bytes after it."""
    place = 0
    while place < len(encoded):
        start = place
        number, wire_type, place = _tag(encoded, place)
        payload = place
        place = _end(encoded, place, number, wire_type)
        yield number, wire_type, encoded[start:payload], encoded[payload:place]


def _tag(encoded: bytes, place: int) -> tuple[int, int, int]:
    tag, place = read_varint(encoded, place)
    if tag < 8:
        raise FieldNumberZero
    return tag >> 3, tag & 7, place


def _end(encoded: bytes, place: int, number: int, wire_type: int) -> int:
    """Where a field ends whose tag ended at `place`."""
    if wire_type == messages.VARINT:
        return read_varint(encoded, place)[1]
    if wire_type == messages.LENGTH:
        length, place = read_varint(encoded, place)
        return place + length
    if wire_type == messages.START_GROUP:
        while True:
            inner, inner_type, place = _tag(encoded, place)
            if inner_type == messages.END_GROUP:
                return place
            place = _end(encoded, place, inner, inner_type)
    return place + (8 if wire_type == messages.FIXED64 else 4)


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place += 1
        shift += 7
        if byte < 0x80:
            return value & (2**64 - 1), place
