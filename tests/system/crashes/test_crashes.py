"""Agents, node and nats-server are killed at random points: nothing is lost or done twice.

The short form of `python -m tests.system.crashes`, whose long one takes minutes.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.system.conftest import servers_under
from tests.system.crashes.fleet import Fleet, tell
from tests.system.crashes.plan import KINDS
from tests.system.crashes.trial import Order, Trial

TASKS = 400
KILLS = 5
SEED = 5
LEASE = ("--set", "leases.lease_ms=5000")
"""Instead of half a minute, which is how long a task may wait for an agent that is gone
together with its node."""


@pytest.mark.timeout(120)
def test_kills_at_random_points_lose_nothing_and_complete_nothing_twice(
    tmp_path: Path,
) -> None:
    order = Order(tasks=TASKS, seed=SEED, kills=KILLS, flags=LEASE)

    found = Trial(order, tmp_path, tell).run()

    assert found["violations"] == []
    assert set(found["kills"]) == set(KINDS)
    assert sum(found["kills"].values()) == KILLS
    assert found["attempts"]["completed"] == TASKS
    assert servers_under(tmp_path / "home") == []


def test_a_fleet_leaves_no_process_even_when_its_node_was_killed(
    tmp_path: Path,
) -> None:
    with Fleet(tmp_path, agents=2) as fleet:
        os.kill(fleet.node().pid, signal.SIGKILL)

    assert servers_under(tmp_path / "home") == []


def test_a_fleet_tells_of_what_ended_although_nobody_killed_it(tmp_path: Path) -> None:
    with Fleet(tmp_path, agents=1) as fleet:
        fleet.node().kill()
        fleet.node().wait(10)
        fleet.look()
        surprises = list(fleet.surprises)

    assert len(surprises) == 1
    assert surprises[0].startswith("node ")
