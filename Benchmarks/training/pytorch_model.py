"""The model that `fletch train related` trains by default, in PyTorch on the CPU: the same layers, loss and optimizer.

Prints the seconds of each epoch, one a line. Messages are products with compressed sparse rows, forward and transposed,
which is the fastest way that PyTorch has; nothing is computed in Python by edge.
"""

import argparse
import csv
import gzip
import time

import numpy
import torch


def read(path):
    """The edges as rows of nodes, without self-loops and repeats, sorted."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        rows = {}
        pairs = [
            (rows.setdefault(line["source"], len(rows)), rows.setdefault(line["target"], len(rows)))
            for line in csv.DictReader(file)]
    edges = numpy.unique(numpy.array([pair for pair in pairs if pair[0] != pair[1]]), axis=0)
    return len(rows), edges[:, 0], edges[:, 1]


def matrix(rows, columns, values, count):
    """A sparse matrix of entries that are sorted by row."""
    offsets = numpy.searchsorted(rows, numpy.arange(count + 1))
    return torch.sparse_csr_tensor(
        torch.from_numpy(offsets), torch.from_numpy(columns), torch.from_numpy(values), size=(count, count))


class Pass(torch.autograd.Function):
    """Messages: a sparse matrix times the rows; the way back is by its transpose, made beforehand."""

    @staticmethod
    def forward(context, forward, backward, rows):
        context.backward_matrix = backward
        return forward @ rows

    @staticmethod
    def backward(context, gradient):
        return None, None, context.backward_matrix @ gradient.contiguous()


class Model(torch.nn.Module):
    def __init__(self, nodes, dimension, layers):
        super().__init__()

        def square(columns=dimension):
            return torch.nn.Parameter(0.5 * torch.eye(dimension, columns) + 0.02 * torch.randn(dimension, columns))

        self.table = torch.nn.Parameter(0.1 * torch.randn(nodes, dimension))
        self.layers = torch.nn.ParameterList([square() for _ in range(3 * layers)])
        self.heads = torch.nn.ParameterList([square(dimension - 2) for _ in range(2 * (layers + 1))])
        self.bias = torch.nn.Parameter(torch.zeros(nodes))
        self.log_temperature = torch.nn.Parameter(torch.log(torch.tensor(10.0)))

    def forward(self, messages, dropout):
        hidden = [torch.nn.functional.dropout(self.table, dropout)]
        for layer in range(len(self.layers) // 3):
            own, out, into = self.layers[3 * layer : 3 * layer + 3]
            rows = hidden[-1]
            mixed = rows @ own + Pass.apply(*messages[0], rows) @ out + Pass.apply(*messages[1], rows) @ into
            hidden.append(torch.nn.functional.normalize(mixed))
        source = sum(rows @ head for rows, head in zip(hidden, self.heads[0::2]))
        target = sum(rows @ head for rows, head in zip(hidden, self.heads[1::2]))
        return torch.nn.functional.normalize(source), torch.nn.functional.normalize(target)


def messages(sources, targets, count):
    """The matrices of both directions and their transposes; a row's sum is divided by the root of its degree."""
    by_target = numpy.lexsort((sources, targets))
    out_scale = 1 / numpy.sqrt(numpy.maximum(numpy.bincount(sources, minlength=count), 1)).astype(numpy.float32)
    in_scale = 1 / numpy.sqrt(numpy.maximum(numpy.bincount(targets, minlength=count), 1)).astype(numpy.float32)
    in_sources, in_targets = sources[by_target], targets[by_target]
    return [
        (matrix(sources, targets, out_scale[sources], count), matrix(in_targets, in_sources, out_scale[in_sources], count)),
        (matrix(in_targets, in_sources, in_scale[in_targets], count), matrix(sources, targets, in_scale[targets], count))]


def known_places(sources, all_sources, all_targets, negatives):
    """Where among sources x negatives stands a known target or the source itself."""
    order = numpy.argsort(negatives, kind="stable")
    sorted_negatives = negatives[order]
    place_of = numpy.full(all_sources.max() + all_targets.max() + 2, -1)
    place_of[sources] = numpy.arange(len(sources))
    kept = place_of[all_sources] >= 0
    rows = numpy.concatenate([place_of[all_sources[kept]], numpy.arange(len(sources))])
    targets = numpy.concatenate([all_targets[kept], sources])
    low, high = numpy.searchsorted(sorted_negatives, targets), numpy.searchsorted(sorted_negatives, targets, "right")
    counts = high - low
    rows = numpy.repeat(rows, counts)
    starts = numpy.repeat(low - numpy.concatenate([[0], numpy.cumsum(counts)[:-1]]), counts)
    return torch.from_numpy(rows), torch.from_numpy(order[starts + numpy.arange(len(rows))])


def loss_of(model, source, target, pairs, one_way, negatives, log_counts, places, direction_weight):
    sources, targets = pairs
    unique, inverse = torch.unique(sources, return_inverse=True)
    temperature = model.log_temperature.exp()
    logits = temperature * (source[unique] @ target[negatives].T) + (model.bias[negatives] - log_counts)
    logits = logits.index_put(places, torch.tensor(-1e30))
    scores = temperature * (source[sources] * target[targets]).sum(1) + model.bias[targets]
    existence = torch.logaddexp(torch.logsumexp(logits, 1)[inverse], scores) - scores
    back = temperature * (source[targets[one_way]] * target[sources[one_way]]).sum(1) + model.bias[sources[one_way]]
    direction = torch.nn.functional.softplus(back - scores[one_way])
    return (existence.sum() + direction_weight * direction.sum()) / len(sources)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edges")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    generator = numpy.random.default_rng(1)
    count, sources, targets = read(arguments.edges)
    keys = set((sources * count + targets).tolist())
    one_way = numpy.array([t * count + s not in keys for s, t in zip(sources.tolist(), targets.tolist())])
    popularity = numpy.sqrt(numpy.bincount(targets, minlength=count) + 1.0)
    popularity /= popularity.sum()
    negatives_count, steps = min(1024, count), 10
    model = Model(count, 64, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(arguments.epochs):
        start = time.perf_counter()
        fold = generator.integers(steps, size=len(sources))
        for step in range(steps):
            chosen = fold == step
            drawn = generator.choice(count, size=negatives_count, p=popularity)
            unique = numpy.unique(sources[chosen])
            places = known_places(unique, sources, targets, drawn)
            source, target = model(messages(sources[~chosen], targets[~chosen], count), 0.3)
            log_counts = torch.from_numpy(numpy.log(negatives_count * popularity[drawn]).astype(numpy.float32))
            loss = loss_of(
                model, source, target, (torch.from_numpy(sources[chosen]), torch.from_numpy(targets[chosen])),
                torch.from_numpy(numpy.flatnonzero(one_way[chosen])), torch.from_numpy(drawn), log_counts, places, 0.3)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"{time.perf_counter() - start:.3f} {loss.item():.4f}", flush=True)


if __name__ == "__main__":
    main()
