#!/usr/bin/env python3
"""How long after its start a server has answered its first call: the process is started, a client that waits already
sends a request of raw frames, and the clock stops when the answer's message is there.

    first_answer.py STORE [--rounds N] [--table NAME] [-- more arguments of fletch serve]

Prints milliseconds for the first product of the table (answered from its list) and for a vector (answered by search),
least and median of the rounds. The page cache is warm from the second round on. The first start of all checks the
table and remembers it; later ones trust what was remembered and check again beside the calls.
"""

import argparse
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Tests/EndToEnd"), str(ROOT / "clients/python")]

import numpy  # noqa: E402
import raw_peer  # noqa: E402
from fletch.v1 import related_products_pb2 as messages  # noqa: E402


def tensors(store: str, name: str) -> dict:
    """The current version's tensors as (dtype, shape, absolute offset)."""
    import json

    version = (pathlib.Path(store) / name / "CURRENT").read_text().strip()
    path = pathlib.Path(store) / name / version / "table.safetensors"
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        key: numpy.memmap(path, {"F32": "<f4", "U64": "<u8", "U8": "u1", "U32": "<u4"}[entry["dtype"]], "r",
                          8 + length + entry["data_offsets"][0], tuple(entry["shape"]))  # fmt: skip
        for key, entry in header.items()
        if entry["dtype"] in ("F32", "U64", "U8", "U32") and 0 not in entry["shape"]
    }


def exchange(request: bytes) -> bytes:
    fields = raw_peer.literal(raw_peer.request_fields())
    ends = raw_peer.END_HEADERS
    return (raw_peer.PREFACE + raw_peer.settings() + raw_peer.frame(raw_peer.HEADERS, 1, fields, ends)
            + raw_peer.frame(raw_peer.DATA, 1, raw_peer.framed(request), raw_peer.END_STREAM))  # fmt: skip


def answer(path: str, sent: bytes, server: subprocess.Popen) -> bytes:
    """Connects as soon as the server listens and returns the payload of the first DATA frame."""
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            break
        except OSError:
            connection.close()
            if server.poll() is not None:
                raise SystemExit(f"the server ended: {server.stderr.read().decode()}")
            time.sleep(0.0005)
    connection.sendall(sent)
    received = b""
    while True:
        received += connection.recv(1 << 16)
        rest = received
        while len(rest) >= 9 and len(rest) >= 9 + int.from_bytes(rest[:3], "big"):
            length = int.from_bytes(rest[:3], "big")
            if rest[3] == raw_peer.DATA and length:
                connection.close()
                return rest[9 : 9 + length]
            rest = rest[9 + length :]


def measure(store: str, name: str, request: bytes, more: list) -> tuple:
    sent = exchange(request)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "socket")
        command = [str(ROOT / ".build/release/fletch"), "serve", "--store", store, "--table", name,
                   "--listen", f"unix:{path}", *more]  # fmt: skip
        start = time.perf_counter()
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        payload = answer(path, sent, server)
        seconds = time.perf_counter() - start
        response = messages.RelatedResponse.FromString(payload[5:])
        assert len(response.items) == 10, response
        server.terminate()
        server.wait()
    return seconds * 1000, messages.RetrievalPath.Name(response.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--table", default="related")
    parser.add_argument("more", nargs="*")
    arguments = parser.parse_args()
    table = tensors(arguments.store, arguments.table)
    start, end = (int(offset) for offset in table["ids.offsets"][:2])
    product = bytes(table["ids.bytes"][start:end]).decode()
    requests = {
        "product": messages.RelatedRequest(product_id=product),
        "vector": messages.RelatedRequest(source_vector=table["source"][0].tolist()),
    }
    print(f"{table['target'].shape[0]} products x {table['target'].shape[1]}")
    for what, request in requests.items():
        rounds = [measure(arguments.store, arguments.table, request.SerializeToString(), arguments.more)
                  for _ in range(arguments.rounds + 1)]  # fmt: skip
        first, later = rounds[0][0], [milliseconds for milliseconds, _ in rounds[1:]]
        print(f"{what}: first start {first:.0f} ms; then least {min(later):.1f} ms, median "
              f"{statistics.median(later):.1f} ms ({rounds[-1][1]})")  # fmt: skip


if __name__ == "__main__":
    main()
