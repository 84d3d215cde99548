"""Trainings that are interrupted, and products that came after them."""

import random
import signal
import subprocess
import time

import harness


def write_edges(path, seed=1):
    generator = random.Random(seed)
    lines = [f"p{generator.randrange(300)},p{generator.randrange(300)}\n" for _ in range(3000)]
    path.write_text("source,target\n" + "".join(lines))
    return path


def test_a_killed_training_resumes_to_the_same_bytes(tmp_path):
    edges = write_edges(tmp_path / "edges.csv")
    options = ["--edges", edges, "--dimension", "16", "--epochs", "6", "--seed", "3"]
    harness.fletch("train", "related", *options, "--output", tmp_path / "whole")
    checkpoint = tmp_path / "checkpoint"
    command = [str(part) for part in (
        harness.FLETCH, "train", "related", *options, "--output", tmp_path / "out", "--checkpoint", checkpoint)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (checkpoint / "checkpoint.fletch").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists() and (checkpoint / "checkpoint.fletch").exists()
    refused = harness.refusal(*command[1:])
    assert "unfinished training" in refused and "--resume" in refused
    other = [*command[1:], "--resume"]
    other[other.index("3")] = "4"
    assert "other options" in harness.refusal(*other)
    harness.fletch(*command[1:], "--resume")
    for name in ("embeddings.safetensors", "training.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (checkpoint / "checkpoint.fletch").exists()
    assert "--resume" in harness.refusal(*command[1:], "--resume")


def test_products_bring_features_and_peak_memory_is_told(tmp_path):
    edges = write_edges(tmp_path / "edges.csv")
    products = tmp_path / "products.csv"
    products.write_text("id,kind,price\nnew,a|b,3\np1,a,5\nempty,,\n")
    done = harness.fletch(
        "train", "related", "--edges", edges, "--products", products, "--output", tmp_path / "out", "--dimension", "16",
        "--epochs", "1", "--layers", "0", "--no-direction-loss", "--sampler", "walks")
    assert "peak memory" in done.stderr and "left out 1" in done.stderr
    tensors = (tmp_path / "out" / "embeddings.safetensors").read_bytes()
    assert b"encoder.features.rows" in tensors and b'"similar.dimension":"14"' in tensors
