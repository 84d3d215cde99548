import sys
import pathlib

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).resolve().parents[2] / "clients/python")]

import pytest

import harness


@pytest.fixture(scope="session")
def edges(tmp_path_factory):
    return harness.debian_edges(tmp_path_factory.mktemp("data") / "edges.csv")


@pytest.fixture(scope="session")
def embeddings(edges, tmp_path_factory):
    """A quickly trained model of the real archive: small and rough, but real."""
    directory = tmp_path_factory.mktemp("model") / "embeddings"
    harness.fletch(
        "train", "related", "--edges", edges, "--output", directory,
        "--dimension", 16, "--layers", 1, "--epochs", 2, "--seed", 7,
    )  # fmt: skip
    return directory


@pytest.fixture(scope="session")
def store(embeddings, tmp_path_factory):
    """A store with one published version, whose lists are by inner products as NumPy computes them; tests that change a
    store copy it first."""
    directory = tmp_path_factory.mktemp("serving") / "store"
    harness.fletch("publish", "--related", embeddings, "--store", directory, "--ranker", "inner-product")
    return directory


@pytest.fixture(scope="session")
def table(store):
    return harness.PublishedTable(store / "related" / "1")


@pytest.fixture(scope="session")
def server(store):
    with harness.Server(store) as running:
        yield running


@pytest.fixture(scope="session")
def dependency(tmp_path_factory) -> str:
    """How a manifest depends on this repository's last commit, by the address of a clone: for all packages the same,
    so that they can share what is built."""
    clone = tmp_path_factory.mktemp("clone") / "fletch"
    harness.run("git", "clone", "--quiet", "--bare", harness.ROOT.as_uri(), clone)
    revision = harness.run("git", "rev-parse", "HEAD", cwd=harness.ROOT)
    return f'.package(url: "{clone.as_uri()}", revision: "{revision}")'


ATTACK_REPORTS = pytest.StashKey[list]()


@pytest.fixture(scope="session")
def attack_reports(request):
    """What the attacks did to the server, printed when all tests are done."""
    return request.config.stash.setdefault(ATTACK_REPORTS, [])


def pytest_terminal_summary(terminalreporter):
    reports = terminalreporter.config.stash.get(ATTACK_REPORTS, [])
    if reports:
        terminalreporter.section("attacks")
        for line in [reports[0].HEADER, *reports]:
            terminalreporter.write_line(str(line))
