"""Programs: their exit code, their last line, and nothing left behind."""

import asyncio
import os
from pathlib import Path

import pytest

from nexa_node.adapters.probes.connectivity import probe
from nexa_node.core.policies import CheckSpec
from tests.node.adapters.probes.servers import PLACE, look


async def run(script: str, **settings: object) -> object:
    return await look("exec", command=("sh", "-c", script), **settings)


async def test_exit_0_passes_with_the_last_line_it_said() -> None:
    outcome = await run("echo first; echo; echo all is well; echo")

    assert (outcome.status, outcome.detail) == ("pass", "all is well")


async def test_silence_passes_too() -> None:
    outcome = await run("true")

    assert (outcome.status, outcome.detail) == ("pass", "it ended with 0")


async def test_exit_1_warns() -> None:
    outcome = await run("echo nearly full >&2; exit 1")

    assert outcome.status == "warn"
    assert outcome.cause == "it ended with 1: nearly full"
    assert outcome.remedy.startswith("run it: sh -c 'echo nearly full >&2; exit 1'")
    assert PLACE in outcome.remedy


@pytest.mark.parametrize(
    ("script", "cause"),
    [("echo gone; exit 2", "it ended with 2: gone"),
     ("exit 127", "it ended with 127"),
     ("kill -TERM $$", "it ended with SIGTERM")],
)  # fmt: skip
async def test_any_other_end_fails(script: str, cause: str) -> None:
    outcome = await run(script)

    assert (outcome.status, outcome.cause) == ("fail", cause)


async def test_no_shell_reads_the_arguments() -> None:
    outcome = await look("exec", command=("echo", "$HOME; exit 1"))

    assert outcome.detail == "$HOME; exit 1"


@pytest.mark.parametrize("program", ["no-such-program-here", "/etc/passwd", "a\0b"])
async def test_a_program_that_can_not_be_run_is_named(program: str) -> None:
    outcome = await look("exec", command=(program,))

    assert outcome.status == "fail"
    assert "can't be run" in str(outcome.cause)
    assert "correct command" in str(outcome.remedy)


async def test_no_command_is_told() -> None:
    outcome = await look("exec")

    assert (outcome.status, outcome.cause) == ("fail", "no command is given")


async def test_noise_is_made_one_harmless_line() -> None:
    outcome = await run(r"printf '\033[31mred\033[0m\007\377\n'")

    assert outcome.status == "pass"
    assert outcome.detail.isprintable()
    assert "red" in outcome.detail


async def test_much_noise_is_read_and_its_end_kept() -> None:
    outcome = await run("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end")

    assert outcome.detail == "the end"


async def test_it_gets_the_environment_without_our_secrets() -> None:
    spec = CheckSpec(name="it", kind="exec", command=("env",))
    environ = {"PATH": os.environ["PATH"], "NEXA_TOKEN": "hunter2", "TZ": "this"}
    outcome = await probe(
        CheckSpec(
            name="it",
            kind="exec",
            command=("sh", "-c", 'echo "$TZ-${NEXA_TOKEN-none}"'),
        ),
        environ=environ,
    )

    assert outcome.detail == "this-none"
    assert spec.command == ("env",)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def gone(pids: list[int]) -> bool:
    async with asyncio.timeout(10):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.005)
    return True


async def noted(path: Path, lines: int) -> list[int]:
    """Wait until that many process ids are written."""
    async with asyncio.timeout(10):
        while not path.exists() or path.read_text().count("\n") < lines:
            await asyncio.sleep(0.005)
    return [int(line) for line in path.read_text().split()]


async def test_late_or_called_off_it_ends_with_all_it_started(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    script = f"trap '' TERM; sleep 300 & echo $! >> {path}; echo $$ >> {path}; wait"
    looking = asyncio.ensure_future(run(script))
    pids = await noted(path, 2)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking

    assert len(pids) == 2
    assert await gone(pids)


async def test_what_it_leaves_in_the_background_does_not_hold_it_up(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pids"
    outcome = await run(f"sleep 300 & echo $! >> {path}; echo done")

    assert (outcome.status, outcome.detail) == ("pass", "done")
    assert await gone(await noted(path, 1))
