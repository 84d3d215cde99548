#!/usr/bin/env python3
"""Writes DIR/embeddings.safetensors with seeded random vectors, for benchmarks that need a table of a given size.

    synthetic_embeddings.py DIR [PRODUCTS] [DIMENSION]
"""

import json
import pathlib
import sys

import numpy


def main(directory: str, products: int = 100_000, dimension: int = 64) -> None:
    generator = numpy.random.default_rng(20)
    ids = [f"B{number:09d}".encode() for number in range(100_000_000, 100_000_000 + products)]
    offsets = numpy.concatenate([[0], numpy.cumsum([len(name) for name in ids])]).astype("<u8")
    vectors = (generator.normal(size=(products, dimension)).astype("<f4") for _ in range(2))
    tensors = {
        "ids.offsets": ("U64", offsets),
        "source": ("F32", next(vectors)),
        "target": ("F32", next(vectors)),
        "ids.bytes": ("U8", numpy.frombuffer(b"".join(ids), numpy.uint8)),
    }
    header, offset = {}, 0
    for name, (dtype, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 4096)
    path = pathlib.Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    with open(path / "embeddings.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, values in tensors.values():
            file.write(values.tobytes())


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]))
