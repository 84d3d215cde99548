"""Every attack of attacks.py: it is ended as it should be, honest clients do not notice, and memory comes back."""

import pytest

import attacks
import harness
import stream_attacks


@pytest.fixture(scope="module")
def target(store):
    with harness.Server(store, *attacks.SERVER_ARGUMENTS, name_of_log="attacked.log") as running:
        yield running


@pytest.fixture(scope="module")
def expected(table):
    return table.related_to("gimp", limit=3)


@pytest.fixture(scope="module")
def streams_target(tmp_path_factory):
    with stream_attacks.plain_target(tmp_path_factory.mktemp("streams")) as running:
        yield running


@pytest.fixture(scope="module")
def tls_target(tmp_path_factory):
    with stream_attacks.tls_target(tmp_path_factory.mktemp("tls")) as running:
        yield running


def each(attacks):
    return pytest.mark.parametrize("attack", [pytest.param(attack, id=attack.name) for attack in attacks])


@each(attacks.ATTACKS)
def test_an_attack_is_ended(target, expected, attack, attack_reports):
    check(attack, target, lambda: attacks.HonestClient(target.address, expected), attack_reports)


@each(stream_attacks.STREAM_ATTACKS)
def test_an_attack_by_streams_is_ended(streams_target, attack, attack_reports):
    check(attack, streams_target, streams_target.honest, attack_reports)


@each(stream_attacks.TLS_ATTACKS)
def test_an_attack_on_tls_is_ended(tls_target, attack, attack_reports):
    check(attack, tls_target, tls_target.honest, attack_reports)


def check(attack, target, honest, attack_reports):
    report = attacks.carry_out(attack, target, honest, attacks.memory_bound)
    attack_reports.append(report)
    assert report.ending in attack.ends
    assert report.wrong == [] and report.right > 1
    assert report.after <= attacks.memory_bound(report.before), str(report)
    assert report.peak - report.before <= attack.most_memory, str(report)


def test_the_server_goes_on_and_ends_in_order(target, expected):
    with attacks.HonestClient(target.address, expected) as client:
        client.ask()
    assert target.process.poll() is None
