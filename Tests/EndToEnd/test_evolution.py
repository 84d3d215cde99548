"""Schemas that change: what identifies them, what may change, and what callers and tables of other versions meet."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import harness
from fingerprint import fingerprint_of

PROTO_ROOTS = [
    "proto", "codegen/bootstrap", "codegen/example/proto", "Tests/Quirks/Protos", "Tests/Interop/Protos",
    "Tests/Conformance/Protos", "Benchmarks/messages/Protos",
]
BUF = pathlib.Path(sys.executable).parent / "buf"
DEBIAN_PROTOC = ["protoc"]
# Another version than Debian's.
PYTHON_PROTOC = [sys.executable, "-m", "grpc_tools.protoc"]


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
        expected = fingerprint_of(folder, names, tmp_path / "set.binpb", protoc)
        assert {name: generated.pop(name, None) for name in names} == expected
    assert generated == {}, "generated code of which no schema is known"


# MARK: What the released schemas allow (make lint)

RELATED = "fletch/v1/related_products.proto"
MANIFEST = "fletch/tables/v1/manifest.proto"

BREAKING = {
    "renumber a field": (RELATED, "uint32 limit = 4;", "uint32 limit = 6;", "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED"),
    "retype a field": (RELATED, "uint32 limit = 4;", "string limit = 4;", "FIELD_SAME_TYPE"),
    "retype a field alike on the wire": (RELATED, "uint32 limit = 4;", "uint64 limit = 4;", "FIELD_SAME_TYPE"),
    "rename a field": (RELATED, "float score = 2;", "float rank = 2;", "FIELD_SAME_NAME"),
    "repeat a field": (RELATED, "string product_id = 1;", "repeated string product_id = 1;", "FIELD_SAME_CARDINALITY"),
    "give a field presence": (RELATED, "uint32 limit = 4;", "optional uint32 limit = 4;", "FIELD_SAME_CARDINALITY"),
    "change a JSON name": (RELATED, "uint32 limit = 4;", 'uint32 limit = 4 [json_name = "n"];', "FIELD_SAME_JSON_NAME"),
    "put a field into a oneof": (
        RELATED, "uint32 limit = 4;", "oneof bound { uint32 limit = 4; }", "FIELD_SAME_ONEOF"),
    "remove a field": (MANIFEST, "string build_id = 6;", "", "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED"),
    "reserve the number alone": (
        MANIFEST, "string build_id = 6;", "reserved 6;", "FIELD_NO_DELETE_UNLESS_NAME_RESERVED"),
    "remove an enum value": (
        RELATED, "RETRIEVAL_PATH_SCAN = 2;", "", "ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED"),
    "renumber an enum value": (
        RELATED, "RETRIEVAL_PATH_SCAN = 2;", "RETRIEVAL_PATH_SCAN = 3;", "ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED"),
    "rename an enum value": (RELATED, "RETRIEVAL_PATH_SCAN", "RETRIEVAL_PATH_FULL", "ENUM_VALUE_SAME_NAME"),
    "stream responses": (RELATED, "returns (RelatedResponse)", "returns (stream RelatedResponse)",
                         "RPC_SAME_SERVER_STREAMING"),
    "stream requests": (RELATED, "Related(RelatedRequest)", "Related(stream RelatedRequest)",
                        "RPC_SAME_CLIENT_STREAMING"),
    "change a request's type": (RELATED, "Related(RelatedRequest)", "Related(RelatedBatchRequest)",
                                "RPC_SAME_REQUEST_TYPE"),
    "change a response's type": (RELATED, "returns (RelatedResponse)", "returns (RelatedBatchResponse)",
                                 "RPC_SAME_RESPONSE_TYPE"),
    "remove a method": (RELATED, "rpc Related(RelatedRequest) returns (RelatedResponse);", "", "RPC_NO_DELETE"),
    "rename a method": (RELATED, "rpc Related(", "rpc Similar(", "RPC_NO_DELETE"),
    "rename a service": (RELATED, "service RelatedProducts", "service SimilarProducts", "SERVICE_NO_DELETE"),
    "rename a message": (MANIFEST, "Metric ", "Measure ", "MESSAGE_NO_DELETE"),
    "rename a package": (RELATED, "package fletch.v1;", "package fletch.v2;", "FILE_SAME_PACKAGE"),
    "remove a file": (MANIFEST, None, None, "FILE_NO_DELETE"),
    "rename generated Swift": (RELATED, 'swift_prefix = ""', 'swift_prefix = "F"', "FILE_SAME_SWIFT_PREFIX"),
}

COMPATIBLE = {
    "nothing": (RELATED, "", ""),
    "add a field": (RELATED, "uint32 limit = 4;", "uint32 limit = 4; string reason = 6;"),
    "add a field with presence": (RELATED, "uint32 limit = 4;", "uint32 limit = 4; optional bool all = 6;"),
    "add a oneof": (RELATED, "uint32 limit = 4;", "uint32 limit = 4; oneof by { string a = 6; string b = 7; }"),
    "add a method": (
        RELATED, "service RelatedProducts {",
        "service RelatedProducts { rpc Explain(ExplainRequest) returns (ExplainResponse);"),
    "add an enum value": (RELATED, "RETRIEVAL_PATH_SCAN = 2;", "RETRIEVAL_PATH_SCAN = 2; RETRIEVAL_PATH_TREE = 3;"),
    "deprecate a field": (RELATED, "uint32 limit = 4;", "uint32 limit = 4 [deprecated = true];"),
    "remove a field and reserve it": (MANIFEST, "string build_id = 6;", 'reserved 6; reserved "build_id";'),
    "remove an enum value and reserve it": (
        RELATED, "RETRIEVAL_PATH_SCAN = 2;", 'reserved 2; reserved "RETRIEVAL_PATH_SCAN";'),
    "change comments": (RELATED, "// Best first", "// From the best"),
    "reorder": (
        MANIFEST, "string name = 1;\n  double value = 2;", "double value = 2;\n  string name = 1;"),
}


@pytest.fixture
def schemas(tmp_path) -> pathlib.Path:
    """A copy of proto/ to change."""
    return pathlib.Path(shutil.copytree(harness.ROOT / "proto", tmp_path / "proto"))


def change(schemas, path, old, new):
    if old is None:
        return (schemas / path).unlink()
    text = (schemas / path).read_text()
    assert old in text, f"{path} has no {old!r} to change"
    # A method that comes to be needs its messages.
    messages = "\nmessage ExplainRequest {}\nmessage ExplainResponse {}\n" if "ExplainRequest" in new else ""
    (schemas / path).write_text((text.replace(old, new) if old else text) + messages)


def breaking(schemas) -> str:
    """What `make lint` says of a change against proto/baseline.txtpb; nothing where it is compatible."""
    result = subprocess.run(
        [BUF, "breaking", "--against", "baseline.txtpb", "--error-format", "json"],
        cwd=schemas, capture_output=True, text=True)
    assert result.stderr == "" and (result.returncode != 0) == (result.stdout != ""), result.stderr
    return result.stdout


@pytest.mark.parametrize("name", BREAKING)
def test_breaking_changes_are_refused(schemas, name):
    path, old, new, rule = BREAKING[name]
    change(schemas, path, old, new)
    assert f'"type":"{rule}"' in breaking(schemas)


@pytest.mark.parametrize("name", COMPATIBLE)
def test_compatible_changes_are_accepted(schemas, name):
    change(schemas, *COMPATIBLE[name])
    assert breaking(schemas) == ""


def test_lint_compares_with_the_baseline():
    makefile = (harness.ROOT / "Makefile").read_text()
    lint = makefile[makefile.index("\nlint:") :].split("\n\n")[0]
    assert "buf breaking --against baseline.txtpb" in lint
