"""The command line: what it refuses and how, what it repeats to the byte, what it reports."""

import gzip
import json
import os
import shutil
import subprocess

import pytest

import harness


def edges_file(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


SMALL = "source,target\n" + "".join(f"p{i},p{(i + 1 + (i * 7 + j) % 49) % 50}\n" for i in range(50) for j in (1, 3, 8))


@pytest.mark.parametrize(
    "content, line, word",
    [
        ("source,goal\na,b\n", 1, "target"),
        ("source,target\na,b\nc\n", 3, "column"),
        ("source,target\na,b\n,c\n", 3, "source"),
        ("source,target\na,b\n\nc,d\n", 3, "empty"),
        (b"source,target\na,b\nc\x00,d\n", 3, "NUL"),
        (b"source,target\na,b\n\xff\xfe,d\n", 3, "UTF-8"),
        ("source,target,weight\na,b,1\nc,d,much\n", 3, "weight"),
        ("source,target,weight\na,b,1\nc,d,-1\n", 3, "weight"),
        ("source,target,weight\na,b,1\nc,d,nan\n", 3, "weight"),
    ],
)
def test_a_wrong_edges_file_is_refused_by_file_and_line(tmp_path, content, line, word):
    path = edges_file(tmp_path / "edges.csv", content)
    error = harness.refusal("train", "related", "--edges", path, "--output", tmp_path / "out")
    assert f"{path}:{line}" in error and word in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "source,target\n", "source,target\na,a\nb,b\n"])
def test_an_empty_graph_is_refused(tmp_path, content):
    path = edges_file(tmp_path / "edges.csv", content)
    assert str(path) in harness.refusal("train", "related", "--edges", path, "--output", tmp_path / "out")
    assert os.listdir(tmp_path) == ["edges.csv"]


def test_a_missing_file_and_a_truncated_archive_are_refused(tmp_path):
    missing = tmp_path / "none.csv"
    assert str(missing) in harness.refusal("train", "related", "--edges", missing, "--output", tmp_path / "out")
    cut = edges_file(tmp_path / "edges.csv.gz", gzip.compress(SMALL.encode())[:-20])
    assert str(cut) in harness.refusal("train", "related", "--edges", cut, "--output", tmp_path / "out")


def test_an_unwritable_or_full_output_is_refused_and_leaves_nothing(tmp_path):
    path = edges_file(tmp_path / "edges.csv", SMALL)
    output = tmp_path / "no" / "such" / "place"
    (tmp_path / "no").write_text("a file, not a directory")
    assert str(tmp_path / "no") in harness.refusal("train", "related", "--edges", path, "--output", output)
    # Files may not grow beyond 4 kB here, as on a full disk.
    full = subprocess.run(
        ["bash", "-c", f"ulimit -f 4; trap '' XFSZ; exec {harness.FLETCH} train related --edges {path} --output {tmp_path}/full --epochs 1"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert full.returncode > 0 and "Error: " in full.stderr
    assert not (tmp_path / "full").exists()


def test_self_loops_and_repeats_are_counted(tmp_path):
    path = edges_file(tmp_path / "edges.csv", SMALL + "p1,p1\np2,p2\np3,p3\n" + "p0,p2\n")
    result = harness.fletch("train", "related", "--edges", path, "--output", tmp_path / "out", "--epochs", 2)
    assert "3 self-loops" in result.stdout + result.stderr and "1 repeat" in result.stdout + result.stderr


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    plain = edges_file(tmp_path / "edges.csv", SMALL)
    zipped = edges_file(tmp_path / "edges.csv.gz", gzip.compress(SMALL.encode()))
    for name, path, seed in [("a", plain, 3), ("b", zipped, 3), ("c", plain, 4)]:
        harness.fletch("train", "related", "--edges", path, "--output", tmp_path / name, "--epochs", 3, "--seed", seed)
    a, b, c = ((tmp_path / name / "embeddings.safetensors").read_bytes() for name in "abc")
    assert a == b and a != c
    for name in "ab":
        harness.fletch("publish", "--related", tmp_path / name, "--store", tmp_path / f"store-{name}")
    versions = [tmp_path / f"store-{name}" / "related" / "1" for name in "ab"]
    for file in {"manifest.binpb", "table.safetensors"} & set(os.listdir(versions[0])):
        assert (versions[0] / file).read_bytes() == (versions[1] / file).read_bytes()


def test_evaluation_reports_every_method(tmp_path):
    path = edges_file(tmp_path / "edges.csv", SMALL)
    report = tmp_path / "report.json"
    printed = harness.fletch("evaluate", "related", "--edges", path, "--seed", 1, "--json", report).stdout
    values = json.loads(report.read_text())
    assert {"hitRate@5", "hitRate@10", "hitRate@20", "mrr@10", "hitRate@10.noReverse", "directionAccuracy"} <= set(values["embedding"])
    assert {"popularity", "coCitation", "normalisedCoCitation", "symmetricTwoHop", "dualSVD", "degrees"} <= set(values["baselines"])
    for method in values["baselines"]:
        assert method in printed


def test_tables_are_listed_and_inspected(store):
    assert "related" in harness.fletch("tables", "list", "--store", store).stdout
    inspected = harness.fletch("tables", "inspect", "--store", store, "--name", "related").stdout
    for tensor in ["source", "target", "lists.rows", "ids.bytes"]:
        assert tensor in inspected
    assert "ok" in harness.fletch("tables", "verify", "--store", store).stdout.lower()


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["publish", "--related", "/nonexistent", "--store", "{tmp}/store"], "/nonexistent"),
        (["publish", "--related", "{tmp}", "--store", "{tmp}/store", "--list-length=-1"], "--list-length"),
        (["evaluate", "related", "--edges", "{tmp}/edges.csv", "--json", "{tmp}/none/report.json"], "none/report.json"),
        (["tables", "list", "--store", "/nonexistent"], "/nonexistent"),
        (["serve", "--store", "{tmp}", "--listen", "nowhere"], "--listen"),
        (["serve", "--store", "{tmp}", "--listen", "127.0.0.1:99999"], "--listen"),
        (["serve", "--store", "{tmp}", "--compress", "brotli"], "--compress 'brotli'"),
        (["serve", "--store", "{tmp}", "--compress", "gzip:many"], "--compress 'gzip:many'"),
        (["serve", "--store", "/nonexistent", "--listen", "127.0.0.1:0"], "/nonexistent"),
        (["query", "related", "--server", "127.0.0.1:1", "--product", "x"], "127.0.0.1:1"),
        (["query", "related", "--server", "nowhere", "--product", "x"], "nowhere"),
        (["train", "related", "--edges", "{tmp}/edges.csv", "--output", "{tmp}/out", "--dimension", "0"], "--dimension"),
        (["train", "related", "--edges", "{tmp}/edges.csv", "--output", "{tmp}/out", "--valid-fraction", "1.5"], "--valid-fraction"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path, arguments, word):
    edges_file(tmp_path / "edges.csv", SMALL)
    assert word in harness.refusal(*[argument.replace("{tmp}", str(tmp_path)) for argument in arguments])


def test_an_unknown_product_is_named_by_query(server):
    error = harness.refusal("query", "related", "--server", server.address, "--product", "no-such-package")
    assert "NOT_FOUND" in error and "no-such-package" in error


@pytest.mark.parametrize("command", [[], ["train", "related"], ["evaluate", "related"], ["publish"], ["serve"], ["query", "related"], ["tables"]])
def test_help_is_there(command):
    text = harness.fletch(*command, "--help").stdout
    assert "OVERVIEW" in text and "USAGE" in text


def test_a_missing_store_is_no_success():
    assert "--store" in harness.refusal("tables", "activate", "--version", "1")
    assert harness.fletch("--version").stdout.strip()


def test_output_that_cannot_be_written_is_an_error(store):
    for arguments in (["tables", "list", "--store", store], ["serve", "--store", store, "--listen", "127.0.0.1:0"]):
        with open("/dev/full", "w") as full:
            result = subprocess.run([harness.FLETCH, *map(str, arguments)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
        assert result.returncode == 1 and "standard output" in result.stderr


def test_closed_standard_files_do_no_harm(store):
    quoted = f"exec {harness.FLETCH} tables verify --store {store} >&- 2>&- <&-"
    assert subprocess.run(["bash", "-c", quoted]).returncode == 0


def test_reports_do_not_replace_devices_or_links(tmp_path):
    path = edges_file(tmp_path / "edges.csv", SMALL)
    (tmp_path / "target.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    harness.fletch("evaluate", "related", "--edges", path, "--epochs", 1, "--json", tmp_path / "link.json", "--csv", "/dev/null")
    assert (tmp_path / "link.json").is_symlink() and json.loads((tmp_path / "target.json").read_text())
    assert not os.path.isfile("/dev/null")
    assert "--plot" in harness.refusal("evaluate", "related", "--edges", path, "--plot", tmp_path / "none" / "x.svg")


def test_verify_looks_at_every_version(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "store")
    shutil.copytree(copy / "related" / "1", copy / "related" / "2")
    result = harness.fletch("tables", "verify", "--store", copy, check=False)
    assert result.returncode == 1 and "related/1: ok" in result.stdout and "related/2: refused" in result.stdout
