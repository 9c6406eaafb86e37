"""Chaos on real nodes: nothing acknowledged is lost, nothing is done twice.

A very short form of `python -m tests.system.chaos`; `make chaos` is what CI runs of it,
`make soak` an hour.
"""

from pathlib import Path

import pytest

from tests.system.chaos.runner import Order, Run, tell
from tests.system.chaos.vocabulary import chosen
from tests.system.conftest import servers_under


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_one_node_that_is_killed_and_stopped_loses_nothing(tmp_path: Path) -> None:
    order = Order(
        seed=1,
        nodes=1,
        seconds=18,
        kinds=chosen("kill-both,kill-store,stop-agent"),
        quick=True,
    )

    found = Run(order, tmp_path, tell).run()

    assert found["violations"] == []
    assert sum(found["faults"].values()) >= 2
    assert found["calls"]["message.send ok"] > 20
    assert found["calls"]["register.cas ok"] > 20
    assert found["records"]["completed"] > 10
    assert servers_under(tmp_path / "alpha") == []
