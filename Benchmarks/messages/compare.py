#!/usr/bin/env python3
"""What decoding and encoding a message costs: Fletch's two faces, swift-protobuf and Python's upb, in one run.

    compare.py [--rounds N] [--milliseconds N] [--csv FILE] MEASURE

MEASURE is the built `measure`. Every round runs each implementation on each message for some milliseconds, the Swift
ones in turn in short spells, upb right after them. Reported are the least and the median time of the rounds, in
nanoseconds of processor time for one message, heap allocations for one message, and the least time's ratio to
swift-protobuf's. upb's figures contain a call from Python; its allocations are not counted.
"""
import argparse
import csv
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

from google.protobuf.internal import api_implementation
from grpc_tools import protoc

HERE = pathlib.Path(__file__).resolve().parent
BASE = "swift-protobuf"


def message_types(folder):
    """The Python classes of the messages, generated into the folder."""
    for root, proto in ((HERE / "Protos", "catalogue.proto"),
                        (HERE / "../../proto/fletch/v1", "related_products.proto")):
        if protoc.main(["protoc", f"-I{root}", f"--python_out={folder}", proto]):
            sys.exit(f"protoc cannot read {root}/{proto}")
    sys.path.insert(0, folder)
    import catalogue_pb2
    import related_products_pb2
    return related_products_pb2, catalogue_pb2


def make_messages(related, catalogue):
    """A request as a client sends it, an answer of ten items, and a nested message of 100 kB; always the same."""
    chance = random.Random(1)
    request = related.RelatedRequest(product_id="B100000777", limit=10)
    items = [related.RelatedItem(product_id=f"B{100000000 + chance.randrange(10**8)}", score=chance.random())
             for _ in range(10)]
    response = related.RelatedResponse(items=items, table_version="20260301T120000Z-1a2b3c4d",
                                       path=related.RETRIEVAL_PATH_LIST)
    large = catalogue.Catalogue(name="Everything for the garden", published_seconds=1_770_000_000)
    while large.ByteSize() < 100_000:
        category = large.categories.add(name=words(chance, 2))
        for _ in range(20):
            add_product(chance, category, catalogue)
    return {"request": request, "response": response, "catalogue": large}


def add_product(chance, category, catalogue):
    product = category.products.add(
        id=f"B{chance.randrange(10**9):09}", title=words(chance, 6), tags=[words(chance, 1) for _ in range(4)],
        embedding=[chance.gauss(0, 1) for _ in range(16)], related=[chance.randrange(2**40) for _ in range(8)],
        availability=chance.choice([1, 1, 1, 2]), featured=chance.random() < 0.1)
    product.price.currency = "EUR"
    product.price.micros = chance.randrange(1, 10**9)
    if chance.random() < 0.7:
        product.stock = chance.randrange(500)
    for _ in range(chance.randrange(4)):
        product.reviews.add(author=words(chance, 2), stars=chance.randrange(1, 6),
                            seconds=-chance.randrange(10**8), text=words(chance, 12))


def words(chance, count):
    syllables = ["ra", "mel", "to", "sin", "gar", "den", "lo", "ve", "kün", "pat"]
    return " ".join("".join(chance.choices(syllables, k=chance.randrange(2, 5))) for _ in range(count))


def measure_upb(messages, milliseconds):
    """Nanoseconds for one message, by message and operation."""
    for name, message in messages.items():
        parse = type(message).FromString
        encoded = message.SerializeToString()
        for operation, run in (("decode", lambda: parse(encoded)), ("encode", message.SerializeToString)):
            yield name, operation, "upb (Python)", fastest(run, milliseconds), ""


def fastest(run, milliseconds, spells=8):
    start = time.thread_time_ns()
    for _ in range(20):
        run()
    repetitions = max(1, int(milliseconds * 1e6 / spells / max(1, (time.thread_time_ns() - start) / 20)))
    best = float("inf")
    for _ in range(spells):
        start = time.thread_time_ns()
        for _ in range(repetitions):
            run()
        best = min(best, (time.thread_time_ns() - start) / repetitions)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--milliseconds", type=int, default=40)
    parser.add_argument("--csv", type=pathlib.Path)
    arguments = parser.parse_args()
    if api_implementation.Type() != "upb":
        sys.exit("Python's protobuf does not run on upb here: install protobuf from PyPI")

    times, allocations = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        messages = make_messages(*message_types(folder))
        for name, message in messages.items():
            pathlib.Path(folder, name).write_bytes(message.SerializeToString())
        for _ in range(arguments.rounds):
            output = subprocess.run([arguments.measure, folder, str(arguments.milliseconds)], check=True,
                                    stdout=subprocess.PIPE, text=True).stdout
            rows = [line.split(",") for line in output.splitlines()]
            for name, operation, implementation, ns, count in [*rows, *measure_upb(messages, arguments.milliseconds)]:
                key = name, operation, implementation
                times.setdefault(key, []).append(float(ns))
                allocations[key] = count

    header = ["message", "bytes", "operation", "implementation", "min ns", "median ns", "allocations", f"x {BASE}"]
    table = [[name, messages[name].ByteSize(), operation, implementation, f"{min(ns):.0f}",
              f"{statistics.median(ns):.0f}", allocations[name, operation, implementation],
              f"{min(ns) / min(times[name, operation, BASE]):.2f}"]
             for (name, operation, implementation), ns in sorted(times.items(), key=order)]
    for row in [header, *table]:
        print("{:10} {:>7} {:9} {:15} {:>9} {:>10} {:>12} {:>16}".format(*map(str, row)))
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            csv.writer(file).writerows([header, *table])


def order(item):
    (name, operation, implementation), _ = item
    return ["request", "response", "catalogue"].index(name), operation, implementation


if __name__ == "__main__":
    main()
