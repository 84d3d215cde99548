"""Calls per second of the Swift client beside grpcio's (grpc.aio), against one server: alternating runs, medians, ratios.

    swift build -c release --product fletch-interop-server && swift build -c release --product swift-client
    .venv/bin/python Benchmarks/rpc/clients.py [--seconds 3] [--rounds 5]
"""

import argparse
import asyncio
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
import harness  # noqa: E402

SWIFT_CLIENT = os.environ.get("FLETCH_SWIFT_CLIENT", str(ROOT / ".build/release/swift-client"))


def swift(address, tasks, seconds):
    command = [SWIFT_CLIENT, address, str(tasks), str(seconds)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def python(address, tasks, seconds):
    import testing_pb2 as testing
    import testing_pb2_grpc as stubs

    async def measure():
        async with grpc.aio.insecure_channel(address) as channel:
            stub = stubs.TestServiceStub(channel)
            request = testing.SimpleRequest(response_size=100, payload={"body": bytes(100)})
            await stub.UnaryCall(request)
            start = time.monotonic()

            async def call():
                calls = 0
                while time.monotonic() < start + seconds:
                    await stub.UnaryCall(request)
                    calls += 1
                return calls

            calls = sum(await asyncio.gather(*(call() for _ in range(tasks))))
            return calls / (time.monotonic() - start)

    return asyncio.run(measure())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        harness.generate_stubs(ROOT / "Tests/Interop/Protos", directory)
        sys.path.insert(0, directory)
        with harness.InteropServer(directory) as server:
            for tasks in (1, 100):
                rounds = [
                    (swift(server.address, tasks, options.seconds), python(server.address, tasks, options.seconds))
                    for _ in range(options.rounds)
                ]
                ratio = statistics.median(ours / theirs for ours, theirs in rounds)
                ours, theirs = (statistics.median(column) for column in zip(*rounds))
                print(f"{tasks:4} tasks: Swift {ours:8.0f}/s, grpcio {theirs:8.0f}/s, {ratio:.1f} times as many")


if __name__ == "__main__":
    main()
