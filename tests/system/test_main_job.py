"""The main job, as an operator does it: start, run an agent, submit, see the result."""

import os
import signal
from pathlib import Path

import pytest

from nexa_tui.client.discovery import Target
from tests.system.conftest import Shell, end, servers_under, until

SLOW = ("python3", "-c", "import sys,time; sys.stdin.read(); time.sleep(60)")
QUICK = (
    "python3",
    "-c",
    "import json,sys; t=json.load(sys.stdin); print(len(t['data']))",
)


@pytest.mark.usefixtures("node")
def test_a_programs_answer_is_printed_and_kept(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("one two three\nfour\n")
    agent = shell.agent("wc-1", "wc", "wc", "-w", options=("--stdin", "text"))
    try:
        until(lambda: shell.connected("wc-1"), "the agent joins")
        done = shell(
            "task", "submit", "wc", "--data", f"@{tmp_path}/README.md", "--wait"
        )
        listed = shell("task", "list", "--json").json()["items"]
        kept = shell("task", "show", listed[0]["id"], "--json").json()
    finally:
        end(agent)

    assert (done.code, done.out.strip()) == (0, "4")
    assert (kept["status"], kept["agent"], kept["result"]) == ("completed", "wc-1", 4)


@pytest.mark.usefixtures("node")
def test_a_killed_agents_task_goes_to_another(shell: Shell) -> None:
    first = shell.agent("wc-1", "wc", *SLOW)
    try:
        until(lambda: shell.connected("wc-1"), "the first agent joins")
        task = shell("task", "submit", "wc", "--data", '"abc"', "--json").json()["id"]
        until(lambda: shell.agents()["wc-1"]["inflight"] == 1, "the task runs")
        second = shell.agent("wc-2", "wc", *QUICK)
        until(lambda: shell.connected("wc-2"), "the second agent joins")
        end(first, signal.SIGKILL)
        done = shell("task", "watch", task, "--json")
        end(second)
    finally:
        end(first, signal.SIGKILL)

    told = done.json()
    assert (told["status"], told["agent"], told["result"]) == ("completed", "wc-2", 3)
    assert told["attempts"] == 2
    assert [one["agent"] for one in told["history"]] == ["wc-1", "wc-2"]


def test_state_survives_the_death_of_node_and_store(shell: Shell, node: Target) -> None:
    kept = [
        shell("task", "submit", "later", "--data", str(number), "--json").json()["id"]
        for number in range(5)
    ]
    assert node.pid is not None
    for process in servers_under(shell.home):
        process.kill()
    until(lambda: not servers_under(shell.home), "all is dead")

    again = shell("node", "start", "--name", "alpha", "--port", "0", "--json").json()
    listed = {one["id"] for one in shell("task", "list", "--json").json()["items"]}
    agent = shell.agent("a-1", "later", *("python3", "-c", "print(1)"))
    try:
        ends = [shell("task", "watch", task, "--json").json() for task in kept]
    finally:
        end(agent)

    assert again["state"] == "running"
    assert listed == set(kept)
    assert {one["status"] for one in ends} == {"completed"}
    assert {one["attempts"] for one in ends} == {1}


def test_a_node_starts_the_moment_it_is_killed(shell: Shell, node: Target) -> None:
    """A killed process is still listed, and holds its lock, for some milliseconds."""
    pid = node.pid
    for _ in range(3):
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        again = shell(
            "node", "start", "--name", "alpha", "--port", "0", "--json"
        ).json()

        assert again["state"] == "running"
        assert again["pid"] != pid
        pid = again["pid"]


def test_a_task_at_work_survives_a_restart_of_the_node(
    shell: Shell, node: Target
) -> None:
    slow = (
        "python3",
        "-c",
        "import sys,time; sys.stdin.read(); time.sleep(4); print(7)",
    )
    agent = shell.agent("a-1", "slow", *slow)
    port = node.url.rpartition(":")[2]
    try:
        until(lambda: shell.connected("a-1"), "the agent joins")
        task = shell("task", "submit", "slow", "--json").json()["id"]
        until(lambda: shell.agents()["a-1"]["inflight"] == 1, "the task runs")
        for process in servers_under(shell.home):
            words = " ".join(process.cmdline())
            if "nats-server" in words or "nexa_node run" in words:
                process.kill()
        until(lambda: shell("node", "status").code == 3, "the node is gone")
        shell("node", "start", "--name", "alpha", "--port", port)
        done = shell("task", "watch", task, "--json").json()
    finally:
        end(agent)

    assert (done["status"], done["result"], done["attempts"]) == ("completed", 7, 1)


def test_stop_leaves_no_process(shell: Shell, node: Target) -> None:
    stopped = shell("node", "stop", "--json")

    assert (stopped.code, stopped.json()["state"]) == (0, "stopped")
    assert servers_under(shell.home) == []
    assert shell("node", "status").code == 3


@pytest.mark.usefixtures("node")
def test_a_failing_program_fails_its_task(shell: Shell) -> None:
    program = ("python3", "-c", "import sys; sys.exit('no such model')")
    agent = shell.agent("a-1", "x", *program)
    try:
        until(lambda: shell.connected("a-1"), "the agent joins")
        done = shell("task", "submit", "x", "--max-attempts", "1", "--wait")
    finally:
        end(agent)

    assert done.code == 1
    assert "no such model" in done.err


def test_a_restart_keeps_the_port_and_the_tasks(shell: Shell, node: Target) -> None:
    task = shell("task", "submit", "later", "--json").json()["id"]

    again = shell("node", "restart", "--json").json()

    assert (again["url"], again["state"]) == (node.url, "running")
    assert again["pid"] != node.pid
    assert shell("task", "show", task, "--json").json()["status"] == "pending"


@pytest.mark.usefixtures("node")
def test_a_drained_node_gives_its_agent_notice_and_ends(shell: Shell) -> None:
    agent = shell.agent("a-1", "wc", *QUICK)
    try:
        until(lambda: shell.connected("a-1"), "the agent joins")
        said = shell("node", "drain")
        until(lambda: shell("node", "status").code == 3, "the node ends")
    finally:
        end(agent)

    assert said.code == 0
    assert "drains" in said.out
