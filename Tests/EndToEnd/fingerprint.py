"""The fingerprint of a schema, from the definition in codegen/README.md alone."""

import pathlib
import subprocess

from google.protobuf.descriptor_pb2 import EnumDescriptorProto, FileDescriptorSet

PROTO = pathlib.Path(__file__).parents[2] / "proto"


def fingerprint_of(root, names, output, protoc=("protoc",)) -> dict[str, str]:
    """The fingerprints of files below a folder, by their names, from what protoc writes into `output`.

    The well-known types that they may import are this repository's.
    """
    command = [*protoc, f"-I{root}", f"-I{PROTO}", "--include_imports", f"--descriptor_set_out={output}", *names]
    subprocess.run(command, check=True)
    files = FileDescriptorSet.FromString(output.read_bytes()).file
    return {file.name: fingerprint(file, files) for file in files if file.name in names}


def fingerprint(file, files) -> str:
    """The fingerprint of `file`; `files` are those of a FileDescriptorSet that has it and all that it imports."""
    types, lines = {}, []
    for other in files:
        types |= declared(scope(other), other.message_type, other.enum_type)
    pending = list(declared(scope(file), file.message_type, file.enum_type))
    for service in file.service:
        name = scope(file) + service.name
        lines.append(f"service {name}")
        for method in service.method:
            request, response = method.input_type[1:], method.output_type[1:]
            streams = f"{method.client_streaming} {method.server_streaming}".lower()
            lines.append(f"method {name} {method.name} {request} {response} {streams}")
            pending += [request, response]
    seen = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if isinstance(types[name], EnumDescriptorProto):
            lines += of_enum(name, types[name])
        else:
            lines += of_message(name, types[name])
            pending += [field.type_name[1:] for field in types[name].field if field.type_name]
    value = 0xCBF29CE484222325
    for byte in "".join(line + "\n" for line in sorted(lines)).encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def of_message(name, message):
    yield f"{'map' if message.options.map_entry else 'message'} {name}"
    for field in message.field:
        is_message = field.type == field.TYPE_MESSAGE
        if field.HasField("oneof_index") and not field.proto3_optional:
            kind = "oneof=" + message.oneof_decl[field.oneof_index].name
        elif field.label == field.LABEL_REPEATED:
            packable = not is_message and field.type not in (field.TYPE_STRING, field.TYPE_BYTES)
            packed = field.options.packed if field.options.HasField("packed") else True
            kind = "packed" if packable and packed else "repeated"
        else:
            kind = "optional" if field.proto3_optional or is_message else "implicit"
        yield f"field {name} {field.number} {field.name} {field.type_name[1:] or field.type} {kind} {field.json_name}"


def of_enum(name, enum):
    yield f"enum {name}"
    numbers = [value.number for value in enum.value]
    for index, value in enumerate(enum.value):
        yield f"value {name} {value.number} {numbers[:index].count(value.number)} {value.name}"


def scope(file) -> str:
    return file.package + "." if file.package else ""


def declared(prefix, messages, enums) -> dict:
    """The messages and enums by their full names, and those within."""
    types = {prefix + type.name: type for type in [*messages, *enums]}
    for message in messages:
        types |= declared(f"{prefix}{message.name}.", message.nested_type, message.enum_type)
    return types
