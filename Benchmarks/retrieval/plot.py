#!/usr/bin/env python3
"""Draws what compare.py printed: time of a query against recall, a panel for each data set, as SVG.

    plot.py RESULTS > recall-against-time.svg
"""

import math
import sys

RECALLS = (0.90, 0.95, 0.99)
COLORS = {"fletch": "#0072b2", "scann": "#d55e00", "scann-soar": "#e69f00", "faiss-ivfflat": "#009e73",
          "faiss-ivfsq8": "#56b4e9", "faiss-ivfpqfs": "#cc79a7", "hnswlib": "#666666"}  # fmt: skip
WIDTH, HEIGHT, LEFT, TOP = 250, 220, 46, 44


def panels(text):
    """Titles with the microseconds of each method; None where it does not reach a recall."""
    for part in text.split("## ")[1:]:
        lines = part.splitlines()
        methods = {}
        for line in lines:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) == 4 and cells[0] in COLORS:
                methods[cells[0]] = [None if cell == "-" else float(cell) for cell in cells[1:]]
        if methods:
            yield lines[0], methods


def main(path):
    found = list(panels(open(path).read()))
    every = [us for _, methods in found for times in methods.values() for us in times if us]
    low, high = math.log10(min(every) * 0.9), math.log10(max(every) * 1.1)
    width = len(found) * (WIDTH + LEFT + 20)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{TOP + HEIGHT + 70}" '
          'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>')  # fmt: skip
    for number, (title, methods) in enumerate(found):
        left = number * (WIDTH + LEFT + 20) + LEFT

        def place(index, us):
            x = left + 20 + index * (WIDTH - 40) / 2
            return x, TOP + HEIGHT * (high - math.log10(us)) / (high - low)

        print(f'<text x="{left}" y="20" font-weight="bold">{title}</text>')
        print(f'<text x="{left}" y="36" fill="#666">microseconds a query, one thread</text>')
        for us in (10, 20, 50, 100, 200, 500):
            if low <= math.log10(us) <= high:
                y = place(0, us)[1]
                print(f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="#e5e5e5"/>'
                      f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{us}</text>')  # fmt: skip
        for index, recall in enumerate(RECALLS):
            print(f'<text x="{place(index, 10)[0]:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{recall:.2f}</text>')
        for name, times in methods.items():
            points = [place(index, us) for index, us in enumerate(times) if us]
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            print(f'<polyline points="{line}" fill="none" stroke="{COLORS[name]}" '
                  f'stroke-width="{3 if name == "fletch" else 1.5}"/>')  # fmt: skip
            for x, y in points:
                print(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLORS[name]}"/>')
    for number, (name, color) in enumerate(COLORS.items()):
        x = LEFT + number * 122
        print(f'<rect x="{x}" y="{TOP + HEIGHT + 40}" width="12" height="12" fill="{color}"/>'
              f'<text x="{x + 18}" y="{TOP + HEIGHT + 51}">{name}</text>')  # fmt: skip
    print(f'<text x="{LEFT}" y="{TOP + HEIGHT + 32}" fill="#666">recall of the best ten</text></svg>')


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
