"""A partition in real networks: who refuses, who goes on, and how it is told afterwards."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from nexa_node.services.cluster.partitions import SETTLED_S
from tests.system.chaos.town import Shape, Town
from tests.system.chaos.wire import Rule, why_not
from tests.system.conftest import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]
ALPHA, BETA, GAMMA = 0, 1, 2
AT_ONCE_S = 2.0
"""A refusal that took so long was waited for."""


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with Town(tmp_path, Shape(nodes=3, wired=True)) as made:
        yield made


def cut(town: Town, node: int) -> None:
    """No packet passes between a node and the others; clients reach all."""
    assert town.wire is not None
    others = [each for each in range(3) if each != node]
    town.wire.rule(
        [Rule(node, other, loss=1.0) for other in others]
        + [Rule(other, node, loss=1.0) for other in others]
    )


def heal(town: Town) -> None:
    assert town.wire is not None
    town.wire.rule([])


def submit(town: Town, at: int, key: str) -> httpx.Response:
    return httpx.post(
        f"{town.target(at).url}/v1/tasks",
        json={"type": "later"},
        headers={"Authorization": f"Bearer {town.admin}", "Idempotency-Key": key},
        timeout=40.0,
        trust_env=False,
    )


def been_one(town: Town) -> float:
    """For how long the last of them is a member, in seconds."""
    told = town.ask(GAMMA, "/v1/events?kind=node.joined")["items"]
    joined = [one["time"] for one in told if one["message"].startswith("gamma")]
    now = datetime.now(UTC)
    return (now - datetime.fromisoformat(joined[0])).total_seconds() if joined else 0.0


def partitions(town: Town, at: int) -> list[dict[str, Any]]:
    told = msgspec.json.decode(
        town.command(at, "cluster", "conflicts", "--json").encode()
    )
    return [one for one in told["items"] if one["kind"] == "partition"]


def test_both_histories_of_a_partition_are_told_by_every_node(town: Town) -> None:
    assert submit(town, GAMMA, "before").status_code == 201
    until(lambda: been_one(town) > 2 * SETTLED_S, "they have come together", 30)

    cut(town, GAMMA)
    until(lambda: town.ask(GAMMA, "/v1/cluster")["stale"], "gamma knows it", 30)
    began = time.monotonic()
    refused = [submit(town, GAMMA, f"refused-{number}") for number in range(3)]
    took = time.monotonic() - began
    shown = town.ask(GAMMA, "/v1/cluster")
    until(
        lambda: submit(town, ALPHA, "meanwhile").status_code < 300, "the rest works", 40
    )
    until(
        lambda: "gamma" in str(town.ask(BETA, "/v1/events?kind=node.dead")),
        "gamma is dead for the others",
        30,
    )
    assert partitions(town, ALPHA) == []
    heal(town)
    assert town.wait_healthy(90) == []
    (told,) = until(lambda: partitions(town, ALPHA), "it is told afterwards", 30)

    assert {one.status_code for one in refused} == {503}, refused[0].text
    assert "too few nodes" in refused[0].text, refused[0].text
    assert took < len(refused) * AT_ONCE_S
    assert (shown["verdict"], shown["stale"]) == ("unhealthy", True)
    mine, others = told["sides"]
    assert (mine["name"], mine["kept"], others["kept"]) == ("gamma", False, True)
    assert mine["did"][0].startswith("gamma refused ")
    assert int(mine["did"][0].split()[2]) >= len(refused)
    assert any("gamma" in each and "not heard" in each for each in others["did"])
    shown = town.command(GAMMA, "cluster", "conflicts", "show", told["id"])
    assert mine["did"][0] in shown
    assert "what it did does not hold" in shown
    assert partitions(town, BETA) == partitions(town, GAMMA) == [told]
    assert told["id"] in str(town.ask(BETA, "/v1/events?kind=partition.healed"))
