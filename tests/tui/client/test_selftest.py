"""The self-test's child: its words, its silence, its end."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from nexa_node.contract.errors import NexaError
from nexa_tui.client.selftest import run_here

LINE = (
    '{"id":"machine.disk","group":"machine","title":"disk","status":"%s",'
    '"duration_ms":1.5}'
)


def child(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


async def test_results_come_as_they_are_told() -> None:
    program = f"print('{LINE % 'running'}'); print('{LINE % 'pass'}')"
    found = [one async for one in run_here(os.environ, command=child(program))]

    assert [one.status for one in found] == ["running", "pass"]


async def test_one_check_is_asked_for_by_its_id() -> None:
    program = (
        "import sys; w = sys.argv[1:];"
        f" print('{LINE % 'pass'}'.replace('machine.disk', '.'.join(w)))"
    )
    command = child(program)
    found = [one async for one in run_here(os.environ, only="x", command=command)]

    assert found[0].id == "--only.x"


async def test_a_child_that_says_nothing_is_told_in_its_last_words() -> None:
    program = "import sys; print('no nexa.toml', file=sys.stderr); sys.exit(2)"

    with pytest.raises(NexaError, match=r"no nexa\.toml") as raised:
        _ = [one async for one in run_here(os.environ, command=child(program))]

    assert raised.value.remedy


async def test_nonsense_is_an_error_with_a_remedy() -> None:
    with pytest.raises(NexaError, match="can't read"):
        _ = [x async for x in run_here(os.environ, command=child("print('{}')"))]


async def test_a_missing_program_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(NexaError, match="could not start"):
        _ = [x async for x in run_here({}, command=(str(tmp_path / "none"),))]


async def test_leaving_early_ends_the_child() -> None:
    program = f"import os, time; print('{LINE % 'running'}'.replace('1.5', str(os.getpid())), flush=True); time.sleep(60)"
    stream = run_here(os.environ, command=child(program))
    first = await anext(stream)
    pid = int(first.duration_ms or 0)
    assert psutil.pid_exists(pid)
    await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]

    assert not psutil.pid_exists(pid)
