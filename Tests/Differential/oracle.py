#!/usr/bin/env python3
"""Writes the schemas that swift-protobuf is asked about, and its code for them.

    oracle.py PROTOC_GEN_SWIFT

They are committed: building protoc-gen-swift takes ten minutes, and only its runtime is needed to ask.
"""

import re
import shutil
import sys
from pathlib import Path

import drivers
import schemas

FOLDER = Path(__file__).resolve().parent / "Oracle"
PROTOS = FOLDER / "Protos"
GENERATED = FOLDER / "Sources/oracle/Generated"
COUNT = 20
MAX_LINES = 120  # of a schema: swift-protobuf's code is some twelve times as long
# protoc-gen-swift 1.39.0 does not escape these, so its code does not compile.
UNESCAPED = frozenset({"precedencegroup"})
# The well-known types that swift-protobuf's runtime has.
WELL_KNOWN = [
    (f"google/protobuf/{file}.proto", f"google.protobuf.{name}")
    for file, name in (("any", "Any"), ("timestamp", "Timestamp"), ("duration", "Duration"), ("struct", "Struct"), ("struct", "Value"),
                       ("field_mask", "FieldMask"), ("wrappers", "Int64Value"), ("wrappers", "BytesValue"), ("empty", "Empty"))
]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for folder in (PROTOS, GENERATED):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    number = 0
    for count in range(COUNT):
        while True:
            schema = schemas.random_schema(f"oracle/{number}", f"o{count}", WELL_KNOWN, avoid=UNESCAPED)
            number += 1
            if sum(text.count("\n") for text in schema.files.values()) <= MAX_LINES:
                break
        for path, text in schema.files.items():
            (PROTOS / path).parent.mkdir(exist_ok=True)
            (PROTOS / path).write_text(text)
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    drivers.run(["protoc", f"-I{PROTOS}", f"-I{drivers.ROOT / 'proto'}", f"--plugin=protoc-gen-swift={sys.argv[1]}",
                 "--swift_opt=FileNaming=PathToUnderscores", f"--swift_out={GENERATED}", *files])
    types = [type for file in sorted(GENERATED.glob("*.pb.swift"))
             for type in re.findall(r"^(?:nonisolated )?extension (\S+): .*SwiftProtobuf\.Message\b", file.read_text(), re.MULTILINE)]
    (GENERATED / "MessageTypes.pb.swift").write_text("\n".join([
        "// Written by Tests/Differential/oracle.py. Do not edit.", "// swift-format-ignore-file", "", "internal import SwiftProtobuf", "",
        "let messageTypes: [any Message.Type] = [", *(f"    {type}.self," for type in types), "]", ""]))


if __name__ == "__main__":
    main()
