"""Every attack of attacks.py: it is ended as it should be, honest clients do not notice, and memory comes back."""

import pytest

import attacks
import harness


@pytest.fixture(scope="module")
def target(store):
    with harness.Server(store, *attacks.SERVER_ARGUMENTS, name_of_log="attacked.log") as running:
        yield running


@pytest.fixture(scope="module")
def expected(table):
    return table.related_to("gimp", limit=3)


@pytest.mark.parametrize("attack", [pytest.param(attack, id=attack.name) for attack in attacks.ATTACKS])
def test_an_attack_is_ended(target, expected, attack, attack_reports):
    report = attacks.carry_out(attack, target, expected, attacks.memory_bound)
    attack_reports.append(report)
    assert report.ending in attack.ends
    assert report.wrong == [] and report.right > 1
    assert report.after <= attacks.memory_bound(report.before), str(report)
    assert report.peak - report.before <= attack.most_memory, str(report)


def test_the_server_goes_on_and_ends_in_order(target, expected):
    with attacks.HonestClient(target.address, expected) as client:
        client.ask()
    assert target.process.poll() is None
