"""Nodes that share a NATS which their operator runs: real processes, and kill -9."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nats_of_theirs import Theirs, bundled, running
from tests.system.conftest import end, until
from tests.system.town import Town

SLOW = ("python3", "-c", "import sys,time; sys.stdin.read(); time.sleep(3); print(1)")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Theirs]:
    with running(tmp_path / "theirs", asyncio.run(bundled())) as server:
        yield server


@pytest.fixture
def town(tmp_path: Path, theirs: Theirs) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def attach(theirs: Theirs) -> tuple[str, ...]:
    told = (
        "store.mode=attached",
        f'store.urls=["{theirs.url}"]',
        "store.sync_always=true",
    )
    return tuple(word for one in told for word in ("--set", one))


def test_two_nodes_on_one_nats_are_a_cluster_and_either_may_die(
    town: Town, theirs: Theirs
) -> None:
    alpha = town.found("alpha", *attach(theirs))
    beta = town.found("beta", *attach(theirs))
    until(lambda: set(town.nodes("alpha")) == {"alpha", "beta"}, "they find each other")
    status = town.status("alpha")
    assert (status["store"], status["quorum"]) == ("attached", {"have": 0, "need": 0})
    assert {one["role"] for one in status["nodes"]} == {"attached"}
    assert status["routes"] == []
    told = alpha("node", "status", "--json").json()
    assert told["store"] == f"attached to nats-server 2.15.1 theirs at {theirs.url}"
    assert not (alpha.home / "state/node/alpha/jetstream").exists()
    for words in (("join-token",), ("leave", "--yes"), ("rotate",), ("replicas", "3")):
        refused = alpha("cluster", *words)
        assert refused.code != 0
        assert "attached" in refused.err

    agent = alpha.agent("a-1", "slow", *SLOW)
    try:
        until(lambda: beta.agents().get("a-1", {}).get("node") == "alpha", "at alpha")
        task = beta("task", "submit", "slow", "--json").json()["id"]
        until(lambda: beta.agents()["a-1"]["inflight"] == 1, "the task runs")
        town.kill("alpha")
        done = beta("task", "watch", task, "--json").json()
    finally:
        end(agent)
    assert (done["status"], done["attempts"], done["agent"]) == ("completed", 1, "a-1")
    until(lambda: town.nodes("beta")["alpha"]["state"] == "error", "alpha is dead")
    until(lambda: town.status("beta")["controller"] == "beta", "beta is the controller")
    assert beta("cluster", "remove", "alpha", "--yes").code == 0
    until(lambda: set(town.nodes("beta")) == {"beta"}, "alpha is off the record")


def test_the_selftest_says_attached_and_asks_for_the_operators_word(
    town: Town, theirs: Theirs
) -> None:
    words = attach(theirs)
    alpha = town.found("alpha", *words[:-1], "store.sync_always=false")
    checks = {one["id"]: one for one in alpha("selftest", "--json").json()["checks"]}
    assert checks["node.attached"]["status"] == "pass"
    assert theirs.url in checks["node.attached"]["detail"]
    assert checks["node.store"]["detail"].startswith("attached, write")
    assert checks["node.sync"]["status"] == "warn"
    assert "sync_interval: always" in checks["node.sync"]["remedy"]
    assert "node.binary" not in checks
    theirs.kill()
    until(lambda: town.status("alpha")["verdict"] == "unhealthy", "it is told")
    theirs.start()
    until(lambda: town.status("alpha")["verdict"] == "degraded", "it is back")


def test_a_node_with_data_of_its_own_does_not_leave_it_behind(
    town: Town, theirs: Theirs
) -> None:
    alpha = town.found("alpha")
    assert alpha("node", "stop").code == 0
    refused = alpha("node", "start", "--name", "alpha", "--port", "0", *attach(theirs))
    assert refused.code != 0
    assert "has data in a store of its own" in refused.err
