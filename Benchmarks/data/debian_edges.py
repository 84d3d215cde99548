#!/usr/bin/env python3
"""Turns the package lists of a Debian machine into a directed graph of packages, as CSV with the header source,target.

An edge leads from a package to each real package that it names under Depends, Pre-Depends, Recommends or Suggests; and,
for Enhances, from the enhanced package to the one that enhances it: from what one has just installed to what goes with
it. Alternatives (a | b) all count; version constraints and architectures are dropped; names that no package bears
(virtual packages) are left out, and so are a package's relations to itself and repeats.

    debian_edges.py > edges.csv                 # reads apt-cache dumpavail (run apt-get update first)
    debian_edges.py --input dump.txt -o edges.csv
"""

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile

FORWARD = ("Pre-Depends", "Depends", "Recommends", "Suggests")
REVERSED = ("Enhances",)
NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")


def paragraphs(lines):
    """Yields each package paragraph as a dictionary of the fields that matter; continuation lines are joined."""
    wanted = ("Package",) + FORWARD + REVERSED
    fields, current = {}, None
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if fields:
                yield fields
            fields, current = {}, None
        elif line[0] in " \t":
            if current:
                fields[current] += line
        else:
            key, _, value = line.partition(":")
            current = key if key in wanted else None
            if current:
                fields[current] = value
    if fields:
        yield fields


def names(relation):
    """The package names of a relation field, every alternative of it."""
    for alternative in re.split(r"[,|]", relation):
        match = NAME.match(alternative)
        if match:
            yield match.group(1)


def relations(lines):
    """The relations of all packages by package; where several versions are listed, the first one counts."""
    found = {}
    for fields in paragraphs(lines):
        package = fields.get("Package", "").strip()
        if package and package not in found:
            found[package] = {
                kind: list(names(fields[kind])) for kind in FORWARD + REVERSED if kind in fields}
    return found


def edges(packages, counts):
    """All edges between real packages, sorted; counts takes the number of edges by kind, repeats included."""
    result = set()
    for package, kinds in packages.items():
        for kind, others in kinds.items():
            for other in set(others):
                if other == package or other not in packages:
                    continue
                counts[kind] += 1
                result.add((other, package) if kind in REVERSED else (package, other))
    return sorted(result)


def write(rows, path):
    """Writes the edges to a file, whole or not at all, or to standard output."""
    text = "source,target\n" + "".join(f"{source},{target}\n" for source, target in rows)
    if path is None:
        sys.stdout.write(text)
        return
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
        try:
            file.write(text)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(path, 0o644)


def read(path):
    """The lines of a dump: from a file, from standard input (-), or from apt-cache."""
    if path == "-":
        return sys.stdin.read().splitlines()
    if path is not None:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    command = ["apt-cache", "dumpavail"]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace", check=True)
    return done.stdout.splitlines()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", metavar="FILE", help="a dump to read instead of apt-cache's; - for standard input")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write the CSV (default: standard output)")
    arguments = parser.parse_args()
    try:
        packages = relations(read(arguments.input))
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"debian_edges.py: cannot read the package lists: {error}; run it on Debian or give --input")
    counts = collections.Counter()
    rows = edges(packages, counts)
    if not rows:
        sys.exit("debian_edges.py: the package lists hold no relations; run apt-get update first, or check --input")
    try:
        write(rows, arguments.output)
    except OSError as error:
        sys.exit(f"debian_edges.py: cannot write {arguments.output}: {error}")
    kinds = ", ".join(f"{kind} {counts[kind]}" for kind in FORWARD + REVERSED)
    print(f"{len(packages)} packages, {len(rows)} edges ({kinds})", file=sys.stderr)


if __name__ == "__main__":
    main()
