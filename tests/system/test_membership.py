"""A cluster that grows to five, loses a node for good, and gets another in its place."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexa_node.adapters.tls.folder import TlsFolder
from tests.system.conftest import servers_under, stop_all, until
from tests.system.town import Town

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def three(town: Town) -> set[str]:
    """Three nodes, with three copies of some tasks; their ids."""
    alpha = town.found("alpha")
    kept = {submitted(town, "alpha") for _ in range(10)}
    town.join("beta", "alpha")
    town.join("gamma", "alpha")
    until(lambda: town.copies("alpha") == {3}, "three copies of everything", 60)
    assert alpha("cluster", "status").code == 0
    return kept


def submitted(town: Town, at: str) -> str:
    told = town[at]("task", "submit", "later", "--json")
    assert told.code == 0, told.err
    return str(told.json()["id"])


def listed(town: Town, at: str) -> set[str]:
    told = town[at]("task", "list", "--limit", "500", "--json").json()
    return {each["id"] for each in told["items"]}


def holders(town: Town, at: str) -> set[str]:
    """Nodes that have a copy of anything."""
    return {
        copy["node"]
        for stream in town.status(at)["streams"]
        for copy in stream["replicas"]
    }


def pin(town: Town, name: str) -> str:
    """By which key a node's routes are known."""
    told = TlsFolder(folder(town, name) / "tls").facts()
    assert told is not None
    return told.key_pin


def pinned(town: Town, name: str) -> set[str]:
    """Whose routes a node's store takes."""
    (line,) = re.findall(
        r"pinned_certs: \[(.*)\]", (folder(town, name) / "nats.conf").read_text()
    )
    return set(re.findall(r'"([0-9a-f]{64})"', line))


def connected(town: Town, at: str) -> list[set[str]]:
    return [{one["node"], one["peer"]} for one in town.status(at)["routes"]]


def folder(town: Town, name: str) -> Path:
    return Path(town[name].home) / "state" / "node" / name


def margin(town: Town, at: str) -> tuple[dict[str, Any], int]:
    status = town.status(at)
    return status["quorum"], status["tolerates"]


def test_three_become_five_and_five_copies_are_made_when_asked_for(
    town: Town,
) -> None:
    kept = three(town)
    town.join("delta", "beta")
    town.join("epsilon", "gamma")
    until(lambda: len(town.nodes("alpha")) == 5, "five nodes", 30)
    five = {"have": 5, "need": 3}
    for name in ("delta", "epsilon"):
        until(lambda at=name: margin(town, at)[0] == five, "five vote", 30)

    # Three copies are enough, until somebody wants more.
    assert town.copies("alpha") == {3}
    asked = town["delta"]("cluster", "replicas", "5", "--yes")
    assert asked.code == 0, asked.err
    until(lambda: town.copies("delta") == {5}, "five copies of everything", 90)
    growth = until(lambda: town.status("alpha")["growth"], "another node tells of it")
    assert (growth["action"], growth["node"]) == ("replicas", "delta")
    until(lambda: margin(town, "alpha")[1] == 2, "two may die", 30)

    town.kill("alpha")
    town.kill("beta")
    until(lambda: submitted(town, "delta"), "writes go on", 30)
    assert listed(town, "epsilon") >= kept
    assert margin(town, "gamma")[0] == {"have": 3, "need": 3}


def test_a_node_that_was_away_while_another_joined_meets_it(town: Town) -> None:
    kept = three(town)
    town.kill("gamma")
    until(lambda: town.nodes("alpha")["gamma"]["state"] == "error", "it is dead", 30)
    town.join("delta", "alpha")
    until(lambda: margin(town, "delta")[0]["have"] == 3, "three vote", 30)
    assert pin(town, "delta") not in pinned(town, "gamma")

    town.again("gamma")

    until(lambda: {"gamma", "delta"} in connected(town, "alpha"), "a route", 30)
    until(lambda: margin(town, "gamma")[0] == {"have": 4, "need": 3}, "all vote", 30)
    assert listed(town, "gamma") == kept


def test_a_dead_node_is_struck_off_and_its_copies_are_made_elsewhere(
    town: Town,
) -> None:
    kept = three(town)
    town.join("delta", "alpha")
    until(lambda: len(town.nodes("alpha")) == 4, "four nodes", 30)
    kept.add(submitted(town, "delta"))

    refused = town["alpha"]("cluster", "remove", "gamma", "--yes")
    town.kill("gamma")
    until(lambda: town.nodes("alpha")["gamma"]["state"] == "error", "it is dead", 30)
    removed = town["alpha"]("cluster", "remove", "gamma", "--yes")

    assert (refused.code, "alive" in refused.err) == (1, True)
    assert removed.code == 0, removed.err
    until(lambda: set(town.nodes("delta")) == {"alpha", "beta", "delta"}, "gone", 30)
    until(lambda: holders(town, "delta") == {"alpha", "beta", "delta"}, "elsewhere", 60)
    until(lambda: town.copies("delta") == {3}, "three copies of everything", 60)
    assert margin(town, "delta") == ({"have": 3, "need": 2}, 1)
    assert listed(town, "delta") == kept


def test_a_node_is_replaced_by_another_that_takes_its_copies(town: Town) -> None:
    kept = three(town)
    town.kill("alpha")  # the one that founded the cluster: nothing hangs on it
    until(lambda: town.nodes("beta")["alpha"]["state"] == "error", "it is dead", 30)
    removed = town["beta"]("cluster", "remove", "alpha", "--yes")
    assert removed.code == 0, removed.err

    town.join("omega", "gamma")
    until(lambda: holders(town, "beta") == {"beta", "gamma", "omega"}, "copied", 90)
    until(lambda: town.copies("omega") == {3}, "three copies of everything", 60)
    assert margin(town, "omega") == ({"have": 3, "need": 2}, 1)
    assert listed(town, "omega") == kept
    struck, left = pin(town, "alpha"), {pin(town, one) for one in town.nodes("omega")}
    until(lambda: pinned(town, "omega") == pinned(town, "gamma") == left, "pins", 10)
    assert struck not in left
    town.kill("beta")
    assert until(lambda: submitted(town, "omega"), "writes go on", 30)

    # One that was struck off is no member any more, whatever its own folder says.
    stop_all(town["alpha"].environ)
    assert not servers_under(town["alpha"].home)
    assert set(town.nodes("omega")) == {"beta", "gamma", "omega"}
