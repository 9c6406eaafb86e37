"""Nodes that become one, from the operator's side: real processes, real TLS, kill -9."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import (
    Shell,
    end,
    environment,
    servers_under,
    stop_all,
    until,
)
from tests.system.town import Town

ONE = ("python3", "-c", "import sys; sys.stdin.read(); print(1)")
SLOW = ("python3", "-c", "import sys,time; sys.stdin.read(); time.sleep(3); print(1)")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def test_three_become_one_keep_everything_and_survive_any(town: Town) -> None:
    alpha = town.found("alpha")
    kept = {
        alpha("task", "submit", "later", "--data", str(n), "--json").json()["id"]
        for n in range(20)
    }
    for number in range(5):
        assert alpha("send", "someone", "note", "--data", str(number)).code == 0
    token = alpha("token", "create", "--role", "viewer", "--json").json()["id"]

    beta = town.join("beta", "alpha")
    two = town.status("beta")
    gamma = town.join("gamma", "beta")
    until(lambda: town.copies("gamma") == {3}, "three copies of everything", 40)
    status = town.status("gamma")

    assert (two["quorum"], two["tolerates"]) == ({"have": 2, "need": 2}, 0)
    assert any("tolerate no loss" in reason for reason in two["reasons"])
    assert (status["quorum"], status["tolerates"]) == ({"have": 3, "need": 2}, 1)
    for shell in (alpha, beta, gamma):
        listed = shell("task", "list", "--limit", "100", "--json").json()["items"]
        assert {one["id"] for one in listed} == kept
        tokens = shell("token", "list", "--json").json()["items"]
        assert token in {one["id"] for one in tokens}
    assert not (alpha.home / "state/node/alpha/jetstream").exists()

    agent = alpha.agent("a-1", "later", *ONE)
    try:
        until(lambda: beta.connected("a-1"), "the agent joins")
        town.kill("alpha")
        done = [
            beta("task", "watch", task, "--json").json()["status"]
            for task in sorted(kept)
        ]
        assert set(done) == {"completed"}
        until(lambda: beta.agents()["a-1"]["node"] != "alpha", "it is elsewhere")
        assert beta.agents()["a-1"]["completed"] >= 0
    finally:
        end(agent)
    until(lambda: town.nodes("beta")["alpha"]["state"] == "error", "alpha is dead", 20)
    town.again("alpha")
    until(lambda: town.copies("gamma") == {3}, "all copies are in step again", 50)
    assert town.nodes("gamma")["alpha"]["state"] == "running"
    assert town.status("gamma")["tolerates"] == 1


def test_a_task_at_work_is_finished_by_its_agent_at_another_node(town: Town) -> None:
    alpha = town.found("alpha")
    town.join("beta", "alpha")
    gamma = town.join("gamma", "alpha")
    until(lambda: town.copies("gamma") == {3}, "three copies of everything", 40)
    agent = alpha.agent("a-1", "slow", *SLOW)
    try:
        until(lambda: gamma.connected("a-1"), "the agent joins")
        task = gamma("task", "submit", "slow", "--json").json()["id"]
        until(lambda: gamma.agents()["a-1"]["inflight"] == 1, "the task runs")
        town.kill("alpha")
        done = gamma("task", "watch", task, "--json").json()
    finally:
        end(agent)

    assert (done["status"], done["attempts"], done["agent"]) == ("completed", 1, "a-1")


@pytest.mark.slow
def test_a_node_is_taken_out_drained_and_leaves_by_a_word_to_another(
    town: Town,
) -> None:
    alpha = town.found("alpha")
    beta = town.join("beta", "alpha")
    town.join("gamma", "alpha")
    until(lambda: town.copies("alpha") == {3}, "three copies of everything", 40)

    agent = beta.agent("a-1", "job", *ONE)
    try:
        until(lambda: alpha.agents().get("a-1", {}).get("node") == "beta", "at beta")
        assert alpha("node", "maintenance", "on", "beta").code == 0
        until(lambda: town.nodes("alpha")["beta"]["state"] == "maintenance", "told")
        until(lambda: alpha.agents()["a-1"]["node"] != "beta", "it moves", 20)
        done = alpha("task", "submit", "job", "--wait", "--json").json()
        assert done["status"] == "completed"
        assert alpha("node", "maintenance", "off", "beta").code == 0
        until(lambda: town.nodes("alpha")["beta"]["state"] == "running", "back")

        drained = alpha("node", "drain", "gamma", "--yes")
        assert drained.code == 0, drained.err
        until(lambda: not servers_under(town["gamma"].home), "gamma ends", 40)
        done = alpha("task", "submit", "job", "--wait", "--json").json()
        assert done["status"] == "completed"
    finally:
        end(agent)
    town.again("gamma")
    until(lambda: town.copies("alpha") == {3}, "three copies again", 40)

    left = town["gamma"]("cluster", "leave", "--yes")
    assert left.code == 0, left.err
    until(lambda: "gamma" not in town.nodes("alpha"), "gamma is forgotten", 60)
    until(
        lambda: town.status("alpha")["quorum"] == {"have": 2, "need": 2},
        "the store knows it, too",
    )


@pytest.mark.slow
def test_who_may_not_join_is_told_why_and_changes_nothing(town: Town) -> None:
    alpha = town.found("alpha")
    token = town.token("alpha")
    town.join("beta", "alpha", token)

    def tried(name: str, given: str, *more: str) -> str:
        shell = town.shells.setdefault(
            name, Shell(environment(town["alpha"].home.parent / name))
        )
        done = shell.program(
            "node", "start", "--name", name, "--port", "0", "--join-file", "-", *more,
            input=given + "\n",
        )  # fmt: skip
        assert done.returncode in {1, 4}, done.stdout
        return done.stderr

    used = tried("gamma", token)
    garbled = tried("delta", token[:-3])
    lone = town.found("epsilon")
    lone("task", "submit", "x")
    stop_all(lone.environ)
    full = tried("epsilon", town.token("alpha"))

    assert "was used" in used or "used" in used
    assert "mistyped" in garbled
    assert "data of its own" in full
    assert set(town.nodes("alpha")) == {"alpha", "beta"}
    assert alpha("task", "submit", "x", "--json").code == 0


def test_without_a_majority_writes_are_refused_at_once_and_reads_are_marked(
    town: Town,
) -> None:
    alpha = town.found("alpha")
    town.join("beta", "alpha")
    town.join("gamma", "alpha")
    until(lambda: town.copies("alpha") == {3}, "three copies of everything", 40)
    task = alpha("task", "submit", "later", "--json").json()["id"]

    town.kill("beta")
    town.kill("gamma")
    until(lambda: town.status("alpha")["stale"], "it is told", 20)
    refused = alpha("task", "submit", "later")
    shown = alpha("task", "list", "--json").json()["items"]

    assert refused.code == 1
    assert "too few nodes" in refused.err
    assert [one["id"] for one in shown] == [task]
    assert town.status("alpha")["verdict"] == "unhealthy"

    town.again("beta")
    until(lambda: not town.status("alpha")["stale"], "a majority is back", 60)
    until(
        lambda: alpha("task", "submit", "later").code == 0, "writes are taken again", 30
    )


def test_what_was_backed_up_is_restored_into_another_node(
    town: Town, tmp_path: Path
) -> None:
    alpha = town.found("alpha")
    kept = {
        alpha("task", "submit", "later", "--data", str(n), "--json").json()["id"]
        for n in range(10)
    }
    file = tmp_path / "nexa.backup"
    made = alpha("cluster", "backup", str(file))
    assert made.code == 0, made.err
    other = town.found("omega")
    damaged = tmp_path / "damaged.backup"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)

    before = town.target("omega").url

    refused = other("cluster", "restore", str(damaged), "--yes")
    restored = other("cluster", "restore", str(file), "--yes")

    assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert refused.code == 1
    assert restored.code == 0, restored.err
    # It started anew by itself, at the same place.
    assert town.target("omega").url == before
    listed = other("task", "list", "--limit", "100", "--json").json()["items"]
    assert {one["id"] for one in listed} == kept
