"""Carries out an operator's own actions: beside the console, or in its terminal."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from nexa_node.contract.errors import NexaError
from nexa_tui.actions import Place
from nexa_tui.screens.session import Session
from nexa_tui.screens.user_actions import UserAction
from nexa_tui.state.detail import Field, Heading, Line, Words
from nexa_tui.state.effects import Effect
from nexa_tui.state.store import ClusterState
from nexa_tui.state.text import clean, clean_lines

OUTPUT_MAX = 256 * 1024
"""Bytes that are kept of what it says."""


def effect_of(name: str, action: UserAction, words: Sequence[str]) -> Effect:
    """What the question before it says."""
    lines = [f"runs {clean(' '.join(words), 300)}"]
    if action.terminal:
        lines.append("It has the terminal until it ends.")
    return Effect(
        f"Your action {clean(name, 40)}", clean(words[0], 60), tuple(lines), "Run"
    )


def values_of(session: Session, subject: tuple[Place, str] | None) -> dict[str, str]:
    """What variables there are, and what they say: the record's, then node and cluster."""
    state, target = session.shown, session.target
    values: dict[str, str] = {
        "cluster": state.cluster.name if state.cluster else "",
        "node": state.node.name if state.node else "",
        "url": target.url if target else "",
        "context": target.name if target else "",
    }
    if subject is None:
        return values
    place, key = subject
    record = _record(state, place, key)
    fields = (
        {} if record is None else cast("dict[str, Any]", msgspec.to_builtins(record))
    )
    told = {
        name: str(value)
        for name, value in fields.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    return {**values, **told, "id": key, "address": f"nexa://{place}/{key}"}


def _record(state: ClusterState, place: Place, key: str) -> object | None:
    tables: Mapping[str, Mapping[Any, object]] = {
        "agents": state.agents,
        "tasks": state.tasks,
        "alerts": state.alerts,
        "nodes": {one.name: one for one in state.cluster.nodes}
        if state.cluster
        else {},
        "events": {one.id: one for one in state.events},
    }
    return cast("Mapping[str, object]", tables.get(place, {})).get(key)


async def run_beside(
    words: Sequence[str],
    *,
    timeout_s: float,
    environ: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a command without a shell and without a terminal.

    Args:
        words: The program and its arguments.
        timeout_s: Then it is killed.
        environ: Its environment; our own if not given.

    Returns:
        Its exit code and what it said on both streams, at most `OUTPUT_MAX` bytes.

    Raises:
        NexaError: It can't be started, or took too long; then it was killed, and what it
            had started in its own process group, too.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environ,
        )
    except OSError as error:
        raise NexaError(
            f"{clean(words[0], 60)} can't be run: {error.strerror}",
            remedy="see its command in actions.toml",
        ) from error
    try:
        async with asyncio.timeout(timeout_s):
            said = await _said(process)
            code = await process.wait()
    except TimeoutError as error:
        raise NexaError(
            f"{clean(words[0], 60)} did not end within {timeout_s:g} s, and was killed",
            remedy="give it a larger timeout_s in actions.toml",
        ) from error
    finally:
        _end(process)
        await process.wait()
    return code, said.decode(errors="replace")


async def _said(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    kept = b""
    while chunk := await process.stdout.read(65536):
        kept = (kept + chunk)[:OUTPUT_MAX]
    return kept


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def told_lines(words: Sequence[str], code: int, said: str) -> list[Line]:
    """What came of it, to be read."""
    lines: list[Line] = [
        Field("command", clean(" ".join(words), 300)),
        Field("ended with", str(code), "ok" if code == 0 else "crit"),
        Heading("says"),
    ]
    return [*lines, *(Words(one) for one in clean_lines(said.rstrip() or "nothing"))]
