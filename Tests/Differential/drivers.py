"""Builds the driver of Fletch for some schemas, and asks drivers what they make of messages."""

import hashlib
import re
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SWIFT_FLAGS = [
    "-swift-version", "6", "-package-name", "differential", "-warnings-as-errors", "-Xcc",
    f"-fmodule-map-file={ROOT / 'Sources/System/CProtobufC/module.modulemap'}",
    *(flag for feature in ("ExistentialAny", "MemberImportVisibility", "InternalImportsByDefault") for flag in ("-enable-upcoming-feature", feature)),
]

RUNTIME = ["FletchWire", "FletchWellKnownTypes", "FletchJSON"]  # in the order of building


class BuildError(Exception):
    """A schema for which no driver can be made: protoc, the plugin or the compiler refuses it."""


@dataclass
class Answer:
    """What a library made of a message. `refusal` is None where it accepted the message."""

    refusal: str | None
    encodings: list[bytes]
    broken_laws: list[str]


CRASH = "crashed"


def run(command: Sequence[str | Path], **options) -> subprocess.CompletedProcess:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise BuildError(f"{Path(command[0]).name}: {(result.stderr + result.stdout).strip()[:4000]}")
    return result


# Building


def build_runtime(scratch: Path) -> Path:
    """The folder with the modules that generated code imports, optimised; built anew where a source of them changed."""
    sources = {module: sorted((ROOT / "Sources" / module.removeprefix("Fletch")).glob("*.swift")) for module in RUNTIME}
    content = "".join(SWIFT_FLAGS).encode() + b"".join(source.read_bytes() for module in RUNTIME for source in sources[module])
    folder = scratch / f"runtime-{hashlib.sha256(content).hexdigest()[:16]}"
    if not (folder / "built").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for module in RUNTIME:
            run(["swiftc", *SWIFT_FLAGS, "-parse-as-library", "-O", "-wmo", "-module-name", module, "-I", folder, "-emit-module",
                 "-emit-module-path", folder / f"{module}.swiftmodule", "-emit-object", "-o", folder / f"{module}.o", *sources[module]])
        (folder / "built").touch()
    return folder


def generate(protos: Path, files: list[str], plugin: Path, output: Path, visibility: str) -> None:
    """Fletch's Swift of the files, which are in `protos` or among the repository's own."""
    output.mkdir(parents=True, exist_ok=True)
    run(["protoc", f"-I{protos}", f"-I{ROOT / 'proto'}", f"--plugin=protoc-gen-fletch={plugin}",
         f"--fletch_out=Server=false,Client=false,FileNaming=PathToUnderscores,UseAccessLevelOnImports=true,Visibility={visibility}:{output}", *files])


def build_driver(generated: Path, runtime: Path, executable: Path) -> None:
    """A driver that knows all messages of the generated files and the well-known types. It is not optimised: compiling
    takes longest."""
    sources = sorted(generated.glob("*.swift"))
    types = [type for source in sources + sorted((ROOT / "Sources/WellKnownTypes").glob("*.fletch.swift"))
             for type in re.findall(r"typealias Value = (.+)$", source.read_text(), re.MULTILINE)]
    list_of_types = executable.parent / "MessageTypes.swift"
    list_of_types.write_text("\n".join([
        *(f"internal import {module}" for module in RUNTIME), "",
        "let messageTypes: [any Message.Type] = [", *(f"    {type}.self," for type in types), "]", ""]))
    driver = sorted((Path(__file__).parent / "Driver").glob("*.swift"))
    objects = [runtime / f"{module}.o" for module in RUNTIME]
    run(["swiftc", *SWIFT_FLAGS, "-Onone", "-wmo", "-module-name", "Driver", "-I", runtime, *objects, "-lprotobuf-c", "-o", executable,
         *driver, list_of_types, *sources])


def build_swift_oracle(scratch: Path) -> Path:
    """swift-protobuf's driver for the committed schemas."""
    package = Path(__file__).parent / "Oracle"
    command = ["swift", "build", "--package-path", package, "--scratch-path", scratch / "oracle"]
    run(command)
    return Path(run([*command, "--show-bin-path"]).stdout.strip()) / "oracle"


# Asking


class Driver:
    """An executable that answers for a library."""

    def __init__(self, executable: Path) -> None:
        self.executable = executable
        names, _ = self._answers(b"", [])
        self.types = {name.decode(): index for index, name in enumerate(names)}

    def ask(self, questions: list[tuple[str, bytes]]) -> list[Answer]:
        """An answer for each type's name and message."""
        answers: list[Answer] = []
        while len(answers) < len(questions):
            rest = questions[len(answers) :]
            frames = b"".join(struct.pack("<II", self.types[name], len(message)) + message for name, message in rest)
            _, more = self._answers(frames, rest)
            answers += more
            if len(more) < len(rest):
                answers.append(Answer(CRASH, [], []))
        return answers

    def _answers(self, frames: bytes, questions: list) -> tuple[list[bytes], list[Answer]]:
        result = subprocess.run([str(self.executable)], input=frames, capture_output=True)
        names, place = _fields(result.stdout, 0)
        answers: list[Answer] = []
        while place < len(result.stdout):
            is_accepted = result.stdout[place] == 1
            fields, place = _fields(result.stdout, place + 1)
            text = fields[0].decode(errors="replace")
            answers.append(Answer(None, fields[1:], text.split("; ") if text else []) if is_accepted else Answer(text, [], []))
        if result.returncode and len(answers) == len(questions):
            raise RuntimeError(f"{self.executable} failed behind its last answer, by a leak perhaps:\n{result.stderr.decode(errors='replace')}")
        return names, answers


def _fields(data: bytes, place: int) -> tuple[list[bytes], int]:
    """The fields of a list at `place`, and where it ends."""
    (size,) = struct.unpack_from("<I", data, place)
    place += 4
    end = place + size
    fields = []
    while place < end:
        (length,) = struct.unpack_from("<I", data, place)
        fields.append(data[place + 4 : place + 4 + length])
        place += 4 + length
    return fields, end
