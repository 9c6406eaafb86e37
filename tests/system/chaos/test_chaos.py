"""Chaos on real nodes: nothing acknowledged is lost, nothing is done twice.

The short forms of `python -m tests.system.chaos`; `make soak` has the long one.
"""

from pathlib import Path

import pytest

from tests.system.chaos.runner import Order, Run, tell
from tests.system.chaos.vocabulary import chosen
from tests.system.conftest import servers_under


@pytest.mark.timeout(150)
def test_one_node_that_is_killed_and_stopped_loses_nothing(tmp_path: Path) -> None:
    order = Order(
        seed=1,
        nodes=1,
        seconds=28,
        kinds=chosen("kill-both,kill-store,stop-agent,cut-clients"),
        quick=True,
    )

    found = Run(order, tmp_path, tell).run()

    assert found["violations"] == []
    assert sum(found["faults"].values()) >= 3
    assert found["calls"]["message.send ok"] > 20
    assert found["calls"]["register.cas ok"] > 20
    assert found["records"]["completed"] > 10
    assert servers_under(tmp_path / "alpha") == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_nodes_lose_nothing_whatever_happens_to_one_of_them(
    tmp_path: Path,
) -> None:
    """Three minutes: what CI runs of it."""
    order = Order(
        seed=20260101,
        nodes=3,
        seconds=180,
        kinds=chosen("kill,stop,restart,network,clock"),
    )

    found = Run(order, tmp_path, tell).run()

    assert found["violations"] == []
    assert sum(found["faults"].values()) >= 6
    assert found["undecided"] == []
