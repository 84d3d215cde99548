"""Schemas that change: what identifies them, what may change, and what callers and tables of other versions meet."""

import re
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2

import harness
from fingerprint import fingerprint

PROTO_ROOTS = ["proto", "codegen/bootstrap", "codegen/example", "Tests/Quirks/Protos", "Tests/Interop/Protos"]
DEBIAN_PROTOC = ["protoc"]
# Another version than Debian's.
PYTHON_PROTOC = [sys.executable, "-m", "grpc_tools.protoc"]


def descriptor_set(root, files, output, protoc) -> list[descriptor_pb2.FileDescriptorProto]:
    """What a protoc makes of files below a folder, with all that they import."""
    command = [*protoc, f"-I{root}", "--include_imports", f"--descriptor_set_out={output}", *files]
    subprocess.run(command, check=True)
    return descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file


def generated_fingerprints() -> dict[str, str]:
    """What generated code of the repository says, by the files' names."""
    pattern = re.compile(r'FileDescriptor\(\s*name: "(.*?)",\s*fingerprint: "([0-9a-f]{16})"')
    listed = subprocess.run(
        ["git", "ls-files", "*.fletch.swift"], cwd=harness.ROOT, capture_output=True, text=True, check=True)
    texts = [(harness.ROOT / path).read_text() for path in listed.stdout.splitlines()]
    return {name: value for text in texts for name, value in pattern.findall(text)}


@pytest.mark.parametrize("protoc", [DEBIAN_PROTOC, PYTHON_PROTOC], ids=["debian", "python"])
def test_generated_code_has_the_fingerprint_of_the_definition(tmp_path, protoc):
    generated = generated_fingerprints()
    for root in PROTO_ROOTS:
        folder = harness.ROOT / root
        names = [str(path.relative_to(folder)) for path in folder.rglob("*.proto") if "refused" not in path.parts]
        files = descriptor_set(folder, names, tmp_path / "set.binpb", protoc)
        expected = {file.name: fingerprint(file, files) for file in files if file.name in names}
        assert {name: generated.pop(name, None) for name in names} == expected
    assert generated == {}, "generated code of which no schema is known"
