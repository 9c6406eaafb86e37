"""`nexa agent run`: real processes, from the command line to the result."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tests.node.agent.standin import StandIn, Visit

PYTHON = sys.executable
Start = Callable[..., Any]


class Started:
    """A running `python -m nexa_node.agent`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def end(self) -> tuple[int, str, str]:
        out, err = await asyncio.wait_for(self.process.communicate(), 15)
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def started(*words: str, **environ: str) -> AsyncIterator[Started]:
    base = {
        name: value for name, value in os.environ.items() if not name.startswith("NEXA")
    }
    process = await asyncio.create_subprocess_exec(
        PYTHON,
        "-m",
        "nexa_node.agent",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=base | environ,
    )
    try:
        yield Started(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def run(node: StandIn, *words: str, command: list[str], **environ: str) -> Any:
    return started(
        "run",
        "--id",
        "p1",
        "--capability",
        "wc",
        "--url",
        node.url,
        *words,
        "--",
        *command,
        **environ,
    )


def script(code: str) -> list[str]:
    return [PYTHON, "-S", "-c", code]


async def outcome(
    node: StandIn, command: list[str], *words: str, data: Any = None
) -> tuple[Visit, Started, Any, str]:
    """Give the program one task; what the node was told of it, and standard error."""
    async with run(node, *words, command=command) as agent:
        visit = await node.visit()
        await visit.assign("t1", data=data, attempt=2)
        await settled(node)
        agent.process.terminate()
        _, _, err = await agent.end()
    return visit, agent, node.results.get("t1", node.failures.get("t1")), err


async def settled(node: StandIn) -> None:
    async with asyncio.timeout(15):
        while "t1" not in node.results | node.failures and not node.released:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("printed", "result"),
    [
        ("42", 42),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("  three little words \n", "three little words"),
        ("", ""),
        ("NaN", "NaN"),
        ("\\xff", "\ufffd"),
    ],
)
async def test_what_the_program_prints_is_the_result(
    node: StandIn, printed: str, result: Any
) -> None:
    if printed == "\\xff":
        code = "import sys; sys.stdout.buffer.write(bytes([255]))"
    else:
        code = f"print({printed!r}, end='')"

    _, _, told, _ = await outcome(node, script(code))

    assert told == result


@pytest.mark.parametrize(
    ("words", "data", "expected"),
    [
        (["--stdin", "data"], {"a": 1}, '{"a":1}'),
        (["--stdin", "text"], "plain words", "plain words"),
        (["--stdin", "text"], {"a": 1}, '{"a":1}'),
    ],
)
async def test_the_program_is_given_the_data(
    node: StandIn, words: list[str], data: Any, expected: str
) -> None:
    code = "import sys, json; print(json.dumps(sys.stdin.read()))"

    _, _, told, _ = await outcome(node, script(code), *words, data=data)

    assert told == expected


async def test_the_program_is_given_the_whole_task_unless_told_otherwise(
    node: StandIn,
) -> None:
    _, _, told, _ = await outcome(node, ["cat"], data={"a": 1})

    assert told["id"] == "t1"
    assert told["type"] == "wc"
    assert told["data"] == {"a": 1}
    assert told["submitter"] == "token:test"


async def test_the_environment_names_the_task_and_not_the_token(node: StandIn) -> None:
    node.token = "sesame"
    code = (
        "import os, json; print(json.dumps([os.environ.get(n) for n in "
        "('NEXA_TASK_ID', 'NEXA_TASK_TYPE', 'NEXA_ATTEMPT', 'NEXA_TOKEN')]))"
    )

    async with run(node, command=script(code), NEXA_TOKEN="sesame"):
        visit = await node.visit()
        await visit.assign("t1", attempt=2)
        await settled(node)

    assert node.results["t1"] == ["t1", "wc", "2", None]


async def test_an_exit_code_fails_the_task_with_the_end_of_its_complaints(
    node: StandIn,
) -> None:
    code = "import sys; sys.stderr.write('x' * 6000 + '\\nlast words\\n'); sys.exit(3)"

    _, _, told, err = await outcome(node, script(code))

    assert told.get("retryable", True) is True
    assert told["error"]["exit_code"] == 3
    assert told["error"]["message"].endswith("ended with exit code 3: last words")
    assert told["error"]["stderr"].endswith("last words")
    assert len(told["error"]["stderr"]) <= 4096
    assert "t1: last words" in err.splitlines()


async def test_a_program_that_is_killed_says_by_what(node: StandIn) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    _, _, told, _ = await outcome(node, script(code))

    assert "killed by SIGKILL" in told["error"]["message"]


async def test_terminal_sequences_of_the_program_do_not_reach_the_terminal(
    node: StandIn,
) -> None:
    code = "import sys; sys.stderr.write('a\\x1b[31mred\\n')"

    _, _, _, err = await outcome(node, script(code))

    assert "\x1b" not in err
    assert "red" in err


async def test_too_much_output_fails_for_good_and_ends_the_program(
    node: StandIn,
) -> None:
    code = "while True: print('x' * 4096)"

    _, _, told, _ = await outcome(node, script(code))

    assert "262144 bytes" in told["error"]
    assert told["retryable"] is False


async def test_a_program_that_reads_nothing_is_no_trouble(node: StandIn) -> None:
    _, _, told, _ = await outcome(node, script("print(1)"), data="x" * 200_000)

    assert told == 1


async def test_a_time_out_ends_the_whole_process_group(
    node: StandIn, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    shell = f"sleep 300 & echo $! $$ > {pids}; wait"

    _, _, told, _ = await outcome(node, ["sh", "-c", shell], "--timeout", "0.5")

    assert "longer than 0.5 s" in told["error"]
    await gone([int(word) for word in pids.read_text().split()])


async def test_what_a_program_leaves_running_is_ended_with_it(
    node: StandIn, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    shell = f"sleep 300 & echo $! > {pids}; echo done"

    _, _, told, _ = await outcome(node, ["sh", "-c", shell])

    assert told == "done"
    await gone([int(pids.read_text())])


async def test_what_left_the_process_group_cannot_hold_the_result_back(
    node: StandIn, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    shell = f"setsid sh -c 'echo $$ > {pids}; exec sleep 300' & echo done"

    _, _, told, _ = await outcome(node, ["sh", "-c", f"{shell}; sleep 0.2"])

    assert told == "done"
    os.kill(await written(pids), signal.SIGKILL)


async def gone(pids: list[int]) -> None:
    async with asyncio.timeout(10):
        while any(lives(pid) for pid in pids):
            await asyncio.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def written(path: Path) -> int:
    async with asyncio.timeout(10):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    return int(path.read_text())


def sleeper(path: Path) -> list[str]:
    return ["sh", "-c", f"echo $$ > {path}; exec sleep 300"]


async def cancelled(node: StandIn, visit: Visit, _: Started) -> None:
    await visit.notify("task.cancelled", {"id": "t1", "claim_epoch": 1})


async def lease_lost(node: StandIn, visit: Visit, _: Started) -> None:
    node.claims["t1"] = 99
    await visit.drop()


async def killed(node: StandIn, visit: Visit, agent: Started) -> None:
    agent.process.kill()


async def stopped(node: StandIn, visit: Visit, agent: Started) -> None:
    agent.process.terminate()
    await visit.until("agent.report", where=lambda told: told["state"] == "draining")
    agent.process.terminate()


@pytest.mark.parametrize("how", [cancelled, lease_lost, killed, stopped])
async def test_the_program_ends_with_its_task(
    node: StandIn,
    tmp_path: Path,
    how: Callable[[StandIn, Visit, Started], Awaitable[None]],
) -> None:
    pid_file = tmp_path / "pid"

    async with run(node, "--grace", "30", command=sleeper(pid_file)) as agent:
        visit = await node.visit()
        await visit.assign("t1")
        pid = await written(pid_file)
        assert lives(pid)
        await how(node, visit, agent)
        await gone([pid])

    assert node.results == {}


async def test_sigterm_finishes_the_task_in_hand_and_exits_0(
    node: StandIn, tmp_path: Path
) -> None:
    began, go = tmp_path / "began", tmp_path / "go"
    shell = f"echo $$ > {began}; while [ ! -e {go} ]; do sleep 0.02; done; echo 7"

    async with run(node, command=["sh", "-c", shell]) as agent:
        visit = await node.visit()
        await visit.assign("t1")
        await written(began)
        agent.process.terminate()
        await visit.until(
            "agent.report", where=lambda told: told["state"] == "draining"
        )
        go.touch()
        code, out, _ = await agent.end()

    assert code == 0
    assert node.results == {"t1": 7}
    assert "t1 wc completed" in out


async def test_ctrl_c_exits_130(node: StandIn) -> None:
    async with run(node, command=["cat"]) as agent:
        visit = await node.visit()
        agent.process.send_signal(signal.SIGINT)
        code, _, err = await agent.end()

    assert code == 130
    assert err == ""
    assert "session.bye" in [name for name, _ in visit.received]


async def test_one_line_when_connected_and_one_per_task(node: StandIn) -> None:
    async with run(node, command=["wc", "-w"]) as agent:
        visit = await node.visit()
        await visit.assign("t1")
        await settled(node)
        agent.process.terminate()
        _, out, _ = await agent.end()

    connected, task = out.splitlines()
    assert connected.startswith("p1: connected to standin at ws://127.0.0.1:")
    assert task.startswith("t1 wc completed in ")


async def test_json_lines_for_programs(node: StandIn) -> None:
    async with run(node, "--json", command=["false"]) as agent:
        visit = await node.visit()
        await visit.assign("t1")
        await settled(node)
        agent.process.terminate()
        _, out, _ = await agent.end()

    connected, task = [msgspec.json.decode(line) for line in out.splitlines()]
    assert connected["event"] == "connected"
    assert connected["node"] == "standin"
    assert (task["event"], task["id"], task["outcome"]) == ("task", "t1", "failed")
    assert "exit code 1" in task["error"]


async def test_quiet_says_nothing(node: StandIn) -> None:
    async with run(node, "--quiet", command=["cat"]) as agent:
        visit = await node.visit()
        await visit.assign("t1")
        await settled(node)
        agent.process.terminate()
        _, out, err = await agent.end()

    assert (out, err) == ("", "")


async def test_every_word_of_hello_can_be_given(node: StandIn) -> None:
    words = [
        *("--capability", "count", "--name", "The Counter", "--namespace", "prod"),
        *("--slots", "3", "--label", "zone=a", "--label", "fast=", "--weight", "2"),
        *("--encoding", "msgpack"),
    ]

    async with run(node, *words, command=["cat"]):
        visit = await node.visit()

    hello = visit.hello
    assert [one["name"] for one in hello["capabilities"]] == ["wc", "count"]
    assert hello["capabilities"][0]["labels"] == {"zone": "a", "fast": ""}
    assert hello["capabilities"][0]["weight"] == 2
    assert (hello["agent"]["name"], hello["namespace"]) == ("The Counter", "prod")
    assert hello["slots"] == 3
    assert visit.msgpack


async def test_slots_run_side_by_side(node: StandIn, tmp_path: Path) -> None:
    shell = (
        f"touch {tmp_path}/$NEXA_TASK_ID; "
        f"while [ $(ls {tmp_path} | wc -l) -lt 2 ]; do sleep 0.02; done"
    )

    async with run(node, "--slots", "2", command=["sh", "-c", shell]):
        visit = await node.visit()
        await visit.assign("t1")
        await visit.assign("t2")
        await visit.until("task.complete", count=2)

    assert sorted(node.results) == ["t1", "t2"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "the one verb"),
        (["walk"], 2, "the one verb"),
        (["run"], 2, "--id"),
        (["run", "--id", "No", "--capability", "wc", "--", "cat"], 2, "an agent's id"),
        (["run", "--id", "a", "--capability", "W", "--", "cat"], 2, "a capability"),
        (["run", "--id", "a", "--capability", "wc"], 2, "no program"),
        (["run", "--id", "a", "--capability", "wc", "--"], 2, "no program"),
        (
            ["run", "--id", "a", "--capability", "wc", "--", "no-such-program"],
            5,
            "no program 'no-such-program'",
        ),
        (
            ["run", "--id", "a", "--capability", "wc", "--slots", "0", "--", "cat"],
            2,
            "below 1",
        ),
        (
            ["run", "--id", "a", "--capability", "wc", "--label", "x", "--", "cat"],
            2,
            "K=V",
        ),
        (
            ["run", "--id", "a", "--capability", "wc", "--timeout", "-1", "--", "cat"],
            2,
            "above 0",
        ),
        (
            ["run", "--id", "a", "--capability", "wc", "--url", "ftp://x", "--", "cat"],
            2,
            "no address",
        ),
        (
            ["run", "--id", "a", "--capability", "wc", "--namespace", "N", "--", "cat"],
            2,
            "a namespace",
        ),
    ],
)
async def test_a_mistake_is_one_line_and_an_exit_code(
    words: list[str], code: int, says: str
) -> None:
    async with started(*words) as agent:
        got, out, err = await agent.end()

    assert got == code
    assert out == ""
    [line] = err.splitlines()
    assert says in line
    assert "; " in line


async def test_no_node_within_the_limit_exits_3(node: StandIn) -> None:
    await node.shut()

    async with run(node, "--connect-timeout", "0.3", command=["cat"]) as agent:
        code, out, err = await agent.end()

    assert code == 3
    assert "connection refused" in out
    assert "nexa node start" in err


async def test_without_a_limit_it_says_so_and_goes_on_trying(node: StandIn) -> None:
    port = node.port
    await node.shut()

    async with run(node, command=["cat"]) as agent:
        assert agent.process.stdout is not None
        line = await asyncio.wait_for(agent.process.stdout.readline(), 10)
        await node.listen(port)
        await node.visit()

    assert b"no connection to ws://127.0.0.1" in line


async def test_a_wrong_token_exits_4(node: StandIn, tmp_path: Path) -> None:
    node.token = "sesame"
    file = tmp_path / "token"
    file.write_text("wrong")
    file.chmod(0o600)

    async with run(node, "--token-file", str(file), command=["cat"]) as agent:
        code, _, err = await agent.end()

    assert code == 4
    assert "nexa token create" in err
    assert "wrong" not in err


async def test_another_process_with_the_same_id_exits_1(node: StandIn) -> None:
    async with run(node, command=["cat"]) as agent:
        visit = await node.visit()
        await visit.close(4409, "taken_over")
        code, _, err = await agent.end()

    assert code == 1
    assert "an id of its own" in err


async def test_help_says_how(node: StandIn) -> None:
    async with started("run", "--help") as agent:
        code, out, _ = await agent.end()

    assert code == 0
    assert "nexa agent run --id wc-1" in out


async def test_a_program_that_cannot_start_fails_the_task(
    node: StandIn, tmp_path: Path
) -> None:
    program = tmp_path / "gone"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)

    async with run(node, command=[str(program)]):
        visit = await node.visit()
        program.unlink()
        await visit.assign("t1")
        await settled(node)

    assert "could not be started" in node.failures["t1"]["error"]
