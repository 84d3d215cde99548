#!/usr/bin/env python3
"""Time of an epoch of `fletch train related` beside the same model in PyTorch, interleaved, on the same threads.

    compare.py --fletch .build/release/fletch --python VENV/bin/python amazon=edges.csv.gz debian=debian.csv

The Python of the given environment needs torch and numpy (pip install torch numpy). An epoch of fletch is the
difference of a training of four epochs and one of a single epoch, over three; of PyTorch the median of three after the
first. The best of the rounds counts.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time


def fletch_epoch(arguments, edges):
    """Seconds of one epoch."""
    seconds = []
    for epochs in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            subprocess.run(
                [*pinned(arguments), arguments.fletch, "train", "related", "--edges", edges, "--output",
                 f"{folder}/out", "--epochs", str(epochs), "--valid-fraction", "0"],
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
    return (seconds[1] - seconds[0]) / 3


def pytorch_epoch(arguments, edges):
    """Seconds of one epoch."""
    script = pathlib.Path(__file__).with_name("pytorch_model.py")
    done = subprocess.run(
        [*pinned(arguments), arguments.python, script, edges, "--epochs", "4", "--threads", str(arguments.threads)],
        check=True, capture_output=True, text=True)
    return statistics.median(float(line.split()[0]) for line in done.stdout.splitlines()[1:])


def pinned(arguments):
    """Both sides run on the same cores."""
    return ["taskset", "-c", f"0-{arguments.threads - 1}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--fletch", required=True)
    parser.add_argument("--python", required=True, help="a Python with torch and numpy")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("| graph | fletch, s an epoch | PyTorch, s an epoch | ratio |\n|---|---|---|---|")
    for graph in arguments.graphs:
        name, _, edges = graph.partition("=")
        rounds = [(fletch_epoch(arguments, edges), pytorch_epoch(arguments, edges)) for _ in range(arguments.rounds)]
        ours, theirs = (min(times) for times in zip(*rounds))
        print(f"| {name} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
