#!/usr/bin/env python3
"""Searches of retrieval-bench beside other libraries', in one run: one thread, top 10 by inner product.

    .venv/bin/python Benchmarks/retrieval/compare.py DIRECTORY [DATA ...] [--peers scann,faiss-ivfflat,...]

makes the data sets that are missing in DIRECTORY, builds each index once (there too), and prints a table: the CPU time
of a query in microseconds, the best of several rounds, of the cheapest setting that finds 90, 95 and 99 % of the best
ten. DATA are names of `SETS`, or safetensors files with `source` and `target` (`fletch train related`), whose source
vectors are the queries. Peers that are not installed are left out: README.md names the packages.
"""

import argparse
import importlib.util
import itertools
import json
import os
import pathlib
import subprocess
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOALS = (0.90, 0.95, 0.99)
K = 10
PROBES = [1, 2, 3, 4, 6, 8, 11, 16, 22, 32, 45, 64, 90, 128, 180, 256]
ROUNDS = 5


def clusters(count, dimension, seed=42, noise=0.7):
    """Isotropic clusters of uneven sizes on a sphere: kind to inverted lists."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((2000, dimension), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    share = 1 / np.arange(1, 2001) ** 0.5
    share /= share.sum()

    def draw(rows):
        chosen = random.choice(2000, rows, p=share)
        x = random.standard_normal((rows, dimension), dtype=np.float32) * (noise / np.sqrt(dimension)) + centres[chosen]
        return normalised(x)

    return draw(count), draw(1000)


def curved(count, dimension, seed=7):
    """Overlapping clusters on a curved surface of 16 dimensions: the realistic set."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((2000, 16)).astype(np.float32)
    first = random.standard_normal((16, 96)).astype(np.float32) / 4
    second = random.standard_normal((96, dimension)).astype(np.float32) / np.sqrt(96)
    share = 1 / np.arange(1, 2001) ** 0.5
    share /= share.sum()

    def draw(rows):
        z = centres[random.choice(2000, rows, p=share)] + 0.6 * random.standard_normal((rows, 16)).astype(np.float32)
        noise = 0.08 * random.standard_normal((rows, dimension)).astype(np.float32)
        return normalised(np.tanh(z @ first) @ second + noise)

    return draw(count), draw(1000)


def normalised(x):
    return np.ascontiguousarray(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32)


SETS = {
    "curved-200k-64": lambda: curved(200_000, 64),
    "clusters-200k-64": lambda: clusters(200_000, 64),
    "clusters-300k-128": lambda: clusters(300_000, 128),
    "clusters-1m-128": lambda: clusters(1_000_000, 128),
}


class Peer:
    """Builds or loads an index and searches it; `settings` gives what to try, cheapest first."""

    def __init__(self, name, build, settings, search):
        self.name, self.build, self.settings, self.search = name, build, settings, search


def faiss_peer(name, kind):
    import faiss

    faiss.omp_set_num_threads(1)

    def build(x, path):
        if not path.exists():
            count, dimension = x.shape
            lists = 4096 if count >= 900_000 else 2048 if count >= 250_000 else 1024
            flat, metric = faiss.IndexFlatIP(dimension), faiss.METRIC_INNER_PRODUCT
            index = {
                "ivfflat": lambda: faiss.IndexIVFFlat(flat, dimension, lists, metric),
                "ivfsq8": lambda: faiss.IndexIVFScalarQuantizer(
                    flat, dimension, lists, faiss.ScalarQuantizer.QT_8bit, metric
                ),
                "ivfpqfs": lambda: faiss.IndexIVFPQFastScan(flat, dimension, lists, dimension // 2, 4, metric),
            }[kind]()
            index.cp.niter, index.cp.max_points_per_centroid = 10, 64
            refined = faiss.IndexRefineFlat(index) if kind == "ivfpqfs" else index
            refined.train(x)
            refined.add(x)
            faiss.write_index(refined, str(path))
        return faiss.read_index(str(path))

    def settings():
        return itertools.product((5, 10, 20, 40), PROBES) if kind == "ivfpqfs" else ((0, p) for p in PROBES)

    def search(index, setting):
        factor, probes = setting
        lists = faiss.downcast_index(index.base_index) if kind == "ivfpqfs" else index
        lists.nprobe = probes
        if factor:
            index.k_factor = factor
        return lambda q: index.search(q[None], K)[1][0]

    return Peer(name, build, settings, search)


def scann_peer(name, spills):
    from scann import scann_ops_pybind as scann

    def build(x, path):
        # Loading wants absolute paths.
        path = path.resolve()
        if not path.exists():
            count = len(x)
            leaves = 4000 if count >= 900_000 else 2000 if count >= 250_000 else 1000
            spill = {"soar_lambda": 1.5, "overretrieve_factor": 2.0} if spills else {}
            builder = scann.builder(x, K, "dot_product").tree(
                num_leaves=leaves, num_leaves_to_search=100, training_sample_size=min(count, 250_000),
                training_iterations=10, **spill)
            index = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build()
            path.mkdir()
            index.serialize(str(path))
        return scann.load_searcher(str(path))

    def search(index, setting):
        depth, leaves = setting
        return lambda q: index.search(
            q, final_num_neighbors=K, leaves_to_search=leaves, pre_reorder_num_neighbors=depth)[0]

    return Peer(name, build, lambda: itertools.product((30, 60, 100, 200), PROBES), search)


def hnswlib_peer(name):
    import hnswlib

    def build(x, path):
        index = hnswlib.Index(space="ip", dim=x.shape[1])
        if path.exists():
            index.load_index(str(path))
        else:
            index.init_index(max_elements=len(x), ef_construction=100, M=16)
            index.add_items(x, num_threads=1)
            index.save_index(str(path))
        index.set_num_threads(1)
        return index

    def search(index, setting):
        index.set_ef(setting[1])
        return lambda q: index.knn_query(q, k=K, num_threads=1)[0][0]

    return Peer(name, build, lambda: ((0, ef) for ef in (10, 14, 20, 28, 40, 56, 80, 110, 150, 200, 280, 400)), search)


PEERS = {
    "scann": ("scann", lambda name: scann_peer(name, False)),
    "scann-soar": ("scann", lambda name: scann_peer(name, True)),
    "faiss-ivfflat": ("faiss", lambda name: faiss_peer(name, "ivfflat")),
    "faiss-ivfsq8": ("faiss", lambda name: faiss_peer(name, "ivfsq8")),
    "faiss-ivfpqfs": ("faiss", lambda name: faiss_peer(name, "ivfpqfs")),
    "hnswlib": ("hnswlib", hnswlib_peer),
}


def measure(search, queries, rounds):
    """Microseconds of CPU time for a query, and what was found."""
    found = [search(q) for q in queries]
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for q in queries:
            search(q)
        best = min(best, time.process_time() - start)
    return best / len(queries) * 1e6, found


def recall(found, truth):
    return sum(len(set(map(int, f)) & t) for f, t in zip(found, truth)) / (K * len(truth))


def sweep(peer, index, queries, truth):
    """The time of the cheapest setting that reaches each goal."""
    points, done = [], set()
    for setting in peer.settings():
        if setting[0] in done:
            continue
        microseconds, found = measure(peer.search(index, setting), queries, 1)
        reached = recall(found, truth)
        same = [p for p in points if p[2][0] == setting[0]]
        points.append((microseconds, reached, setting))
        if reached > 0.993 or (len(same) > 2 and reached - same[-2][1] < 0.001) or microseconds > 5000:
            done.add(setting[0])
    result = {}
    for goal in GOALS:
        good = sorted(p for p in points if p[1] >= goal)[:2]
        if good:
            result[goal] = min(measure(peer.search(index, p[2]), queries, ROUNDS)[0] for p in good)
    return result


def best_rows(x, queries):
    truth = []
    for start in range(0, len(queries), 50):
        scores = queries[start : start + 50] @ x.T
        truth += [set(row) for row in np.argpartition(-scores, K, axis=1)[:, :K].tolist()]
    return truth


def load(name, directory):
    """Files of rows and of queries, and both."""
    if name.endswith(".safetensors"):
        from safetensors.numpy import load_file

        tensors = load_file(name)
        source = tensors["source"]
        return name, name, tensors["target"], source[:: max(1, len(source) // 1000)][:1000]
    rows, queries = directory / f"{name}.rows.npy", directory / f"{name}.queries.npy"
    if not queries.exists():
        x, q = SETS[name]()
        np.save(rows, x)
        np.save(queries, q)
    return rows, queries, np.load(rows), np.load(queries)


def ours(rows, queries):
    """What retrieval-bench prints."""
    subprocess.run(["swift", "build", "-c", "release", "--product", "retrieval-bench"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    out = subprocess.run([ROOT / ".build/release/retrieval-bench", rows, queries], check=True, capture_output=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def plain_scan(count, dimension, directory):
    """Microseconds of the shortest exact scan in C, which `plain_scan.c` explains, or None without AVX-512 VNNI."""
    program = directory / "plain_scan"
    source = pathlib.Path(__file__).with_name("plain_scan.c")
    built = subprocess.run(["cc", "-O3", "-march=native", source, "-o", program], capture_output=True)
    if built.returncode:
        return None
    return float(subprocess.run([program, str(count), str(dimension)], check=True, capture_output=True).stdout)


def cells(times):
    return " | ".join(f"{times[goal]:.1f}" if goal in times else "-" for goal in GOALS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("data", nargs="*", default=list(SETS))
    parser.add_argument("--peers", default=",".join(PEERS))
    arguments = parser.parse_args()
    directory = arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    peers = [name for name in arguments.peers.split(",") if name and importlib.util.find_spec(PEERS[name][0])]
    for name in arguments.data:
        rows, queries, x, q = load(name, directory)
        truth = best_rows(x, q)
        print(f"\n## {pathlib.Path(name).name}: {len(x)} x {x.shape[1]}\n", flush=True)
        plain = plain_scan(len(x), x.shape[1], directory)
        lines = ours(rows, queries)
        built, exact = lines[0], lines[1]["exact"]
        times = {line["goal"]: line["us"] for line in lines if "goal" in line}
        print(f"exact: floats {exact['float us']} us, 8-bit codes {exact['8-bit us']} us, "
              f"plain VNNI loop {plain and round(plain, 1)} us; built in {built['lists s']} s, "
              f"codes {built['codes MB']} MB, lists {built['lists MB']} MB; publish: {lines[-1]['publish']}\n")
        print("| us at recall@10 of | .90 | .95 | .99 |\n|---|---|---|---|")
        print(f"| fletch | {cells(times)} |", flush=True)
        for peer_name in peers:
            peer = PEERS[peer_name][1](peer_name)
            index = peer.build(x, directory / f"{name.strip('/').replace('/', '-')}.{peer_name}")
            print(f"| {peer_name} | {cells(sweep(peer, index, q, truth))} |", flush=True)
        # Noise between the first and the last minute shows here.
        again = {line["goal"]: line["us"] for line in ours(rows, queries) if "goal" in line}
        print(f"| fletch, again | {cells(again)} |", flush=True)


main()
