#!/usr/bin/env python3
"""Writes a seeded directed graph as CSV with the header source,target: clustered, with degrees by a power law.

Products fall into clusters. Every cluster leads to a few others, and every product to products of those clusters (and
at times to any product), popular ones more often than rare ones; out-degrees follow a power law, too. So there is
something to learn: which clusters lead to which, in which direction, and who is popular. Edges are written by source;
a product may lead to another twice, which readers merge.

    synthetic_graph.py --nodes 1000000 --edges 20000000 -o edges.csv
"""

import argparse
import os
import sys

import numpy


def draw_targets(generator, order, offsets, clusters):
    """One product of each of the given clusters: the k-th most popular with a density of 1/sqrt(k)."""
    sizes = offsets[clusters + 1] - offsets[clusters]
    ranks = (generator.random(len(clusters)) ** 2 * sizes).astype(numpy.int64)
    return order[offsets[clusters] + ranks]


def chunks(arguments):
    """Yields pairs of arrays: the sources and targets of some edges."""
    generator = numpy.random.default_rng(arguments.seed)
    nodes, count = arguments.nodes, arguments.clusters or max(2, arguments.nodes // 200)
    cluster = generator.integers(count, size=nodes)
    # Popularity has nothing to do with the number of a product.
    shuffled = generator.permutation(nodes)
    order = shuffled[numpy.argsort(cluster[shuffled], kind="stable")]
    offsets = numpy.searchsorted(cluster[order], numpy.arange(count + 1))
    leads_to = generator.integers(count, size=(count, 4))
    degrees = generator.pareto(1.5, size=nodes) + 0.2
    degrees = numpy.minimum(degrees, nodes / 20)
    degrees = generator.poisson(degrees * (arguments.edges / degrees.sum()))
    for begin in range(0, nodes, 50_000):
        sources = numpy.repeat(numpy.arange(begin, min(begin + 50_000, nodes)), degrees[begin : begin + 50_000])
        chosen = leads_to[cluster[sources], (generator.random(len(sources)) ** 2 * 4).astype(numpy.int64)]
        strays = generator.random(len(sources)) < arguments.noise
        chosen = numpy.where(strays, generator.integers(count, size=len(sources)), chosen)
        filled = offsets[chosen + 1] > offsets[chosen]
        sources, chosen = sources[filled], chosen[filled]
        yield sources, draw_targets(generator, order, offsets, chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--edges", type=int, default=20_000_000, help="expected number, with repeats")
    parser.add_argument("--clusters", type=int, help="default: one for 200 products")
    parser.add_argument("--noise", type=float, default=0.1, help="share of edges that lead to any cluster")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write the CSV (default: standard output)")
    arguments = parser.parse_args()
    if arguments.nodes < 2 or arguments.edges < 1 or not 0 <= arguments.noise <= 1:
        parser.error("give at least 2 nodes, 1 edge, and a noise between 0 and 1")
    unfinished = f"{arguments.output}.unfinished" if arguments.output else None
    with open(unfinished, "w", encoding="ascii") if unfinished else sys.stdout as file:
        file.write("source,target\n")
        for sources, targets in chunks(arguments):
            lines = [f"p{u},p{v}\n" for u, v in zip(sources.tolist(), targets.tolist())]
            file.write("".join(lines))
    if unfinished:
        os.replace(unfinished, arguments.output)


if __name__ == "__main__":
    main()
