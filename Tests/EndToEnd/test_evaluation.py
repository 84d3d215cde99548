"""What `fletch evaluate related` tells, recomputed by NumPy from the split and the vectors that it exports."""

import csv
import json

import numpy
import pytest

import harness

CUTOFFS = [5, 10, 20]
BANDS = {"degree0-3": (0, 3), "degree4-10": (4, 10), "degree11-30": (11, 30), "degree31+": (31, numpy.inf)}


def edges_text(random, times=False):
    """A small graph in blocks that lead to the next block, with some edges both ways and ids that need quotes."""
    lines, seen = ["source,target,time" if times else "source,target"], set()
    name = lambda node: f'"p,{node}"' if node % 7 == 0 else f"p{node}"
    for _ in range(2500):
        u = int(random.integers(0, 300))
        v = (u // 30 * 30 + 30 + int(30 * random.random() ** 2)) % 300 if random.random() < 0.8 else int(random.integers(0, 300))
        for pair in [(u, v)] + [(v, u)] * (random.random() < 0.2):
            if u != v and pair not in seen:
                seen.add(pair)
                lines.append(f"{name(pair[0])},{name(pair[1])}" + f",{len(lines) // 4}" * times)
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def edges(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "edges.csv"
    path.write_text(edges_text(numpy.random.default_rng(5), times=True))
    return path


@pytest.fixture(scope="module", params=["edge", "time", "node"])
def evaluated(request, edges, tmp_path_factory):
    """The split, the vectors and the report of one evaluation."""
    place = tmp_path_factory.mktemp("evaluated")
    harness.fletch(
        "evaluate", "related", "--edges", edges, "--split", request.param, "--dimension", 12, "--epochs", 4, "--negatives", 64,
        "--baselines", "popularity,coCitation,normalisedCoCitation,degrees", "--seed", 3,
        "--json", place / "report.json", "--export-split", place / "split.csv", "--export-embeddings", place / "embeddings",
    )  # fmt: skip
    return Repetition(place)


class Repetition:
    """The same figures by dense matrices in double precision."""

    def __init__(self, place):
        self.report = json.loads((place / "report.json").read_text())
        table = harness.PublishedTable(place / "embeddings")
        self.source, self.target, rows = table.source, table.target, table.row
        parts = {}
        with open(place / "split.csv", newline="") as file:
            for line in csv.DictReader(file):
                parts.setdefault(line["part"], []).append((rows[line["source"]], rows[line["target"]]))
        self.parts = {part: numpy.array(pairs) for part, pairs in parts.items()}
        self.train = numpy.zeros((len(rows), len(rows)))
        self.train[tuple(self.parts["train"].T)] = 1
        self.test = self.parts["test"]
        self.out, self.into = self.train.sum(1), self.train.sum(0)

    def scores(self, method):
        a = self.train
        if method == "embedding":
            return self.source @ self.target.T
        if method == "popularity":
            return numpy.tile(self.into, (len(a), 1))
        if method == "coCitation":
            return a @ a.T @ a
        if method == "normalisedCoCitation":
            by_target = a.T / numpy.maximum(self.into, 1)[:, None]
            return a @ by_target @ (a / numpy.sqrt(numpy.maximum(self.out, 1))[:, None])
        return numpy.log1p(self.out)[:, None] + numpy.log1p(self.into)[None, :]

    def expected(self, method, near, tie):
        """All metrics, where scores that differ by at most `near` are tied, and a tie is worth `tie` of a win."""
        scores = self.scores(method)
        near *= numpy.abs(scores).max()
        ranks = []
        for u, v in self.test:
            others = scores[u].copy()
            others[u] = -numpy.inf
            others[self.train[u] > 0] = -numpy.inf
            ties = (numpy.abs(others - scores[u, v]) <= near).sum() - 1
            ranks.append(1 + (others > scores[u, v] + near).sum() + ties * (1 - tie))
        ranks, (u, v) = numpy.array(ranks), self.test.T
        is_test = numpy.zeros_like(self.train, dtype=bool)
        is_test[u, v] = True
        no_reverse = self.train[v, u] == 0
        degree = (self.out + self.into)[u]
        groups = {"": numpy.full(len(u), True), ".noReverse": no_reverse}
        groups |= {f".{name}": (low <= degree) & (degree <= high) for name, (low, high) in BANDS.items()}
        metrics = {}
        for name, members in groups.items():
            if members.any():
                metrics["mrr" + name] = (1 / ranks[members]).mean()
                for k in CUTOFFS:
                    metrics[f"hitRate@{k}{name}"] = (ranks[members] <= k).mean()
                    metrics[f"mrr@{k}{name}"] = numpy.where(ranks[members] <= k, 1 / ranks[members], 0).mean()
        one_way = no_reverse & ~is_test[v, u]
        leads = (scores[u, v] - scores[v, u])[one_way]
        metrics["directionAccuracy"] = area(leads, numpy.zeros(1), near, tie)
        metrics["directionAUC"] = area(leads, -leads, near, tie)
        for kind in ["uniform", "byDegree"]:
            x, y = self.parts[f"absent-{kind}"].T
            metrics[f"existenceAUC.{kind}"] = area(scores[u, v], scores[x, y], near, tie)
        return metrics


def area(positives, negatives, near, tie):
    difference = positives[:, None] - negatives[None, :]
    return ((difference > near) + tie * (numpy.abs(difference) <= near)).mean()


@pytest.mark.parametrize("method", ["popularity", "coCitation"])
def test_figures_are_those_of_an_independent_program(evaluated, method):
    expected = evaluated.expected(method, near=0, tie=0.5)
    assert len(expected) > 30
    for name, value in expected.items():
        assert evaluated.report["baselines"][method][name] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("method, near", [("embedding", 1e-7), ("normalisedCoCitation", 1e-5), ("degrees", 1e-5)])
def test_figures_are_those_of_an_independent_program_but_for_rounding(evaluated, method, near):
    """Scores of these are rounded in single precision, so either of two that are about as high may come first."""
    report = evaluated.report["embedding"] if method == "embedding" else evaluated.report["baselines"][method]
    least, most = (evaluated.expected(method, near, tie) for tie in (0, 1))
    names = [name for name in least if method != "degrees" or name.startswith(("direction", "existence"))]
    assert len(names) >= 4
    for name in names:
        assert least[name] - 1e-6 <= report[name] <= most[name] + 1e-6, name
        assert method != "embedding" or most[name] - least[name] < 1e-3, name


def test_parts_of_a_split_do_not_meet(evaluated):
    parts = {part: set(map(tuple, pairs)) for part, pairs in evaluated.parts.items()}
    assert all(len(parts[part]) == len(pairs) for part, pairs in evaluated.parts.items())
    assert not parts["train"] & parts["test"]
    for kind in ["absent-uniform", "absent-byDegree"]:
        assert len(parts[kind]) == len(parts["test"]) and not parts[kind] & (parts["train"] | parts["test"])


def test_the_past_is_learned_and_the_future_tested(edges, tmp_path):
    harness.fletch(
        "evaluate", "related", "--edges", edges, "--split", "time", "--test-fraction", 0.25, "--baselines", "none",
        "--dimension", 4, "--epochs", 1, "--export-split", tmp_path / "split.csv",
    )  # fmt: skip
    with open(edges, newline="") as file:
        times = {(line["source"], line["target"]): int(line["time"]) for line in csv.DictReader(file)}
    with open(tmp_path / "split.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    found = {part: [times[line["source"], line["target"]] for line in lines if line["part"] == part] for part in ("train", "test")}
    assert max(found["train"]) < min(found["test"])
    assert 0.24 < len(found["test"]) / len(times) <= 0.25


def test_an_ablation_over_seeds_is_told_in_every_form(edges, tmp_path):
    printed = harness.fletch(
        "evaluate", "related", "--edges", edges, "--baselines", "popularity", "--ablate", "direction", "--seeds", 2,
        "--dimension", 4, "--epochs", 1, "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv", "--plot", tmp_path / "r.svg",
    ).stdout  # fmt: skip
    assert "±" in printed and max(map(len, printed.splitlines())) <= 120
    report = json.loads((tmp_path / "r.json").read_text())
    assert [seed["seed"] for seed in report["seeds"]] == [1, 2]
    assert set(report["variants"]) == {"no direction loss"} and report["spread"]["embedding"]["mrr"] > 0
    with open(tmp_path / "r.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["seed"] for line in lines} == {"1", "2", "mean", "sd"}
    assert {line["method"] for line in lines} == {"embedding", "hybrid", "popularity", "no direction loss"}
    assert (tmp_path / "r.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--split", "time"], ["--split", "column time"]),
        (["--split", "month"], ["--split", "month"]),
        (["--baselines", "popularity,luck"], ["--baselines", "luck"]),
        (["--ablate", "magic"], ["--ablate", "magic"]),
        (["--seeds", "0"], ["--seeds"]),
        (["--split", "node", "--reveal", "0"], ["--reveal", "products"]),
        (["--export-split", "{tmp}/none/split.csv"], ["--export-split", "none/split.csv"]),
    ],
)
def test_a_wrong_argument_is_named(tmp_path, arguments, words):
    path = tmp_path / "edges.csv"
    path.write_text(edges_text(numpy.random.default_rng(1)))
    error = harness.refusal("evaluate", "related", "--edges", path, *[argument.replace("{tmp}", str(tmp_path)) for argument in arguments])
    assert all(word in error for word in words)
