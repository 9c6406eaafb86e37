"""Start and stop a node of this machine, as a process of its own.

The node is detached: its own session, no terminal, so that neither a console that
crashes nor an SSH session that drops takes it down.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from nexa_node.contract import places
from nexa_node.contract.errors import BY_REASON, NexaError, NotFound, Unavailable
from nexa_node.contract.ids import is_slug
from nexa_node.contract.nodes import NodeFile
from nexa_tui.client.discovery import LocalNode, Target, announced, local_nodes
from nexa_tui.client.places import base_folders

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
_BEAT_S = 0.05
_KILL_WAIT_S = 5.0
_ROOM_BYTES = 64 * 1024
"""With less than that a dying node can't even write down why."""

Say = Callable[[str], None]

_DETACHED: list[subprocess.Popen[bytes]] = []
"""Nodes this process started: they outlive it, so nobody waits for them here."""


class Fatal(msgspec.Struct, frozen=True, kw_only=True):
    """The last line of a node that could not start, on its standard error."""

    error: str
    reason: str = "internal"
    remedy: str | None = None


def start_node(
    environ: Mapping[str, str],
    *,
    flags: tuple[str, ...] = (),
    say: Say = lambda _: None,
    timeout_s: float = START_TIMEOUT_S,
    stdin: bytes | None = None,
) -> Target:
    """Start a node here and wait until it is ready.

    Args:
        environ: The environment the node gets, without Textual's variables.
        flags: For `python -m nexa_node run`: `--name`, `--port`, `--set key=value`.
        say: Is told in a few words how far it is.
        timeout_s: How long it may take.
        stdin: What the node reads there: a join token, for `--join-file -`.

    Raises:
        NexaError: It could not start: the node's own words, and what mends it.
    """
    before = {target.pid for target in local_nodes(environ)}
    _, state = base_folders(environ)
    errors = Path(places.node_errors(state, _name_in(flags, environ)))
    try:
        errors.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(errors, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise Unavailable(
            f"the state folder {state} can't be written: {error.strerror}",
            remedy=f"make {state} writable, or set NEXA_HOME to another folder",
        ) from error
    kept = {key: text for key, text in environ.items() if not key.startswith("TEXTUAL")}
    with os.fdopen(descriptor, "wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "nexa_node", "run", *flags],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=kept,
            cwd="/",
            start_new_session=True,
        )
    _DETACHED.append(child)
    if child.stdin is not None:
        with suppress(BrokenPipeError), child.stdin as pipe:  # it may be gone already
            pipe.write(stdin or b"")
    say(f"started process {child.pid}")
    return _wait_until_running(environ, child, before, errors, say, timeout_s)


def _name_in(flags: tuple[str, ...], environ: Mapping[str, str]) -> str:
    """The name a node was given; empty if that, or if it is none that a file could have."""
    given = environ.get("NEXA_NODE_NAME", "")
    if "--name" in flags[:-1]:
        given = flags[flags.index("--name") + 1]
    return given if is_slug(given) else ""


def stop_node(
    target: Target,
    *,
    environ: Mapping[str, str],
    say: Say = lambda _: None,
    timeout_s: float = STOP_TIMEOUT_S,
) -> None:
    """Ask a node of this machine to drain and end, and see that nothing is left.

    SIGTERM drains: no new work, agents are asked to move, what is in hand is given
    back. A node that takes longer than `timeout_s` is killed; its nats-server ends
    with it, and what was acknowledged is in the store.

    Raises:
        NotFound: The target is no process of this machine.
        NexaError: It could not be ended; says which process is left.
    """
    if target.pid is None:
        raise NotFound(
            f"the node at {target.url} does not run on this machine",
            remedy="run nexa node stop there",
        )
    family = _family(target.pid)
    say(f"draining {target.name}")
    _signal(target.pid, signal.SIGTERM)
    if _gone_within(family, timeout_s):
        return
    say("it takes too long: ending it")
    for pid in family:
        _signal(pid, signal.SIGKILL)
    if not _gone_within(family, _KILL_WAIT_S):
        left = ", ".join(str(pid) for pid in family if exists(pid))
        raise NexaError(f"processes {left} don't end", remedy=f"kill -9 {left}")


def find_local(environ: Mapping[str, str], name: str | None) -> LocalNode | None:
    """Find a node's announcement: of `name`, or else the first, a living one before a dead."""
    nodes = [node for node in announced(environ) if name in {None, node.file.name}]
    nodes.sort(key=lambda node: not node.alive)
    return nodes[0] if nodes else None


def exists(pid: int | None) -> bool:
    """Say whether a process runs; one that ended but was not reaped does not."""
    if pid is None:
        return False
    try:
        reaped, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        reaped = 0
    if reaped == pid:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return False
    else:
        return stat.rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_until_running(
    environ: Mapping[str, str],
    child: subprocess.Popen[bytes],
    before: set[int | None],
    errors: Path,
    say: Say,
    timeout_s: float,
) -> Target:
    end = time.monotonic() + timeout_s
    told = ""
    while time.monotonic() < end:
        if child.poll() is not None:
            raise _why_it_died(errors, child.returncode)
        file = _announcement(environ, child.pid)
        if file is not None and told != (now := _state_words(file)):
            told = now
            say(f"node {file.name} is {told}")
        if file is not None and file.state == "running":
            return _target(environ, child.pid, before)
        time.sleep(_BEAT_S)
    _signal(child.pid, signal.SIGTERM)
    raise Unavailable(
        f"the node was not ready within {timeout_s:.0f} s",
        remedy="nexa logs --startup; nexa selftest",
    )


def _state_words(file: NodeFile) -> str:
    doing = "".join(each for each in file.doing[:200] if each.isprintable())
    return f"{file.state}: {doing}" if doing else file.state


def _announcement(environ: Mapping[str, str], pid: int) -> NodeFile | None:
    for node in announced(environ):
        if node.file.pid == pid:
            return node.file
    return None


def _target(environ: Mapping[str, str], pid: int, before: set[int | None]) -> Target:
    for target in local_nodes(environ):
        if target.pid == pid and pid not in before:
            return target
    raise Unavailable("the node ended as soon as it was ready", remedy="nexa logs")


def _why_it_died(errors: Path, code: int) -> NexaError:
    lines = errors.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in reversed(lines):
        try:
            fatal = msgspec.json.decode(line, type=Fatal)
        except msgspec.DecodeError:
            continue
        kind = BY_REASON.get(fatal.reason, NexaError)
        return kind(fatal.error, remedy=fatal.remedy)
    if not lines and shutil.disk_usage(errors.parent).free < _ROOM_BYTES:
        return Unavailable(
            f"the node could not start: No space left on the device of {errors.parent}",
            remedy=f"free space there: df -h {errors.parent}",
        )
    last = lines[-1] if lines else "it said nothing"
    return NexaError(
        f"the node ended with code {code}: {last}", remedy=f"less {errors}"
    )


def _family(pid: int) -> list[int]:
    """The process and its children, its nats-server among them."""
    import psutil

    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return [pid]
    return [pid, *(child.pid for child in children)]


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise NexaError(
            f"process {pid} belongs to another user", remedy="use that user, or root"
        ) from error


def _gone_within(pids: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(exists(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(_BEAT_S)
    return True
