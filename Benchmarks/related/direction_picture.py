"""Draws pairs of products with the scores both ways, as SVG on the standard output.

    direction_picture.py EMBEDDINGS SOURCE,TARGET ...    EMBEDDINGS as 'fletch train related' writes them
"""

import json
import pathlib
import struct
import sys
from xml.sax.saxutils import escape

import numpy

ROW, LEFT, BOX, GAP = 74, 14, 230, 250
WIDTH = LEFT * 2 + BOX * 2 + GAP


def tensors(directory):
    data = (pathlib.Path(directory) / "embeddings.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    kinds = {"F32": numpy.float32, "U8": numpy.uint8, "U64": numpy.uint64}
    found = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name in ("source", "target", "ids.bytes", "ids.offsets"):
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            found[name] = numpy.frombuffer(data[begin:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    return found


def arrow(x1, x2, y, score, is_higher):
    color, width = ("#0072b2", 2.5) if is_higher else ("#9aa3ab", 1.2)
    head = 9 if x2 > x1 else -9
    return (
        f'<line x1="{x1}" y1="{y}" x2="{x2 - head}" y2="{y}" stroke="{color}" stroke-width="{width}"/>'
        f'<path d="M{x2},{y} l{-head},-5 v10 z" fill="{color}"/>'
        f'<text x="{(x1 + x2) / 2}" y="{y - 6}" text-anchor="middle" fill="{color}"'
        f'{" font-weight=" + chr(34) + "bold" + chr(34) if is_higher else ""}>{score:.2f}</text>'
    )


def box(x, y, name):
    return (
        f'<rect x="{x}" y="{y}" width="{BOX}" height="44" rx="6" fill="#f4f6f8" stroke="#c5ccd3"/>'
        f'<text x="{x + BOX / 2}" y="{y + 27}" text-anchor="middle" font-family="monospace">{escape(name)}</text>'
    )


def main(directory, *pairs):
    table = tensors(directory)
    offsets, text = table["ids.offsets"].astype(int), table["ids.bytes"].tobytes()
    row = {text[a:b].decode(): index for index, (a, b) in enumerate(zip(offsets, offsets[1:]))}

    def score(u, v):
        return float(table["source"][row[u]].astype(float) @ table["target"][row[v]].astype(float))

    height = ROW * len(pairs) + 20
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="13" fill="#222">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for index, pair in enumerate(pairs):
        u, v = pair.split(",")
        y = 16 + ROW * index
        forward, reverse = score(u, v), score(v, u)
        left, right = LEFT + BOX + 6, LEFT + BOX + GAP - 6
        lines += [box(LEFT, y, u), box(LEFT + BOX + GAP, y, v)]
        lines += [arrow(left, right, y + 15, forward, forward > reverse), arrow(right, left, y + 38, reverse, reverse > forward)]
    print("\n".join(lines) + "\n</svg>")


if __name__ == "__main__":
    main(*sys.argv[1:])
