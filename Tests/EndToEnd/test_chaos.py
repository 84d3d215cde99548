"""Every bad kind of client at once: a short run of chaos.py, whose long ones are under the sanitizers."""

import chaos


def test_chaos_leaves_good_clients_their_answers(tmp_path):
    assert chaos.run(seconds=8, seed=7, directory=tmp_path) > 0
