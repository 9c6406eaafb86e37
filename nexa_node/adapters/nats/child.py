"""One nats-server process: started so that it ends with us, and known again later.

A killed node takes its server with it (PR_SET_PDEATHSIG on Linux). Where that fails or
is slow, the next start ends the survivor before it opens the store: two servers on one
store would ruin it, and neither would complain.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from nexa_node.adapters.nats import private
from nexa_node.adapters.nats.config import Layout
from nexa_node.adapters.nats.failures import BinaryMissing, StoreFailed

STOP_S = 5.0
"""How long a server may take to end before it is killed."""

_PR_SET_PDEATHSIG = 1
_DELETED = " (deleted)"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STARTTIME_FIELD = 19
"""Of /proc/PID/stat, counted after the command's closing bracket."""


class _PidFile(msgspec.Struct, frozen=True):
    pid: int
    started: str
    executable: str


def start_mark(pid: int) -> str | None:
    """Name the moment process `pid` started; None if there is no such process.

    On Linux it is counted from boot, so that a wall clock set meanwhile can't hide a
    survivor; elsewhere it is the wall-clock time of its start.
    """
    try:
        if sys.platform == "linux":
            told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            ticks = told.rpartition(")")[2].split()[_STARTTIME_FIELD]
            return f"{_BOOT_ID.read_text(encoding='ascii').strip()}/{ticks}"
        return f"{psutil.Process(pid).create_time():.2f}"
    except (OSError, psutil.Error):
        return None


async def spawn(path: Path, layout: Layout) -> asyncio.subprocess.Process:
    """Start nats-server, and note which process it is.

    It gets an environment of its own and a session of its own: ctrl-C in the node's
    terminal does not reach it. Call from a thread that lives as long as the node:
    Linux ties the child to the thread that started it.

    Raises:
        BinaryMissing: It can't be run.
    """
    output = await asyncio.to_thread(_open_output, layout.output)
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            "-c",
            layout.conf,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=layout.work,
            env={"PATH": os.defpath, "HOME": str(layout.work), "LANG": "C.UTF-8"},
            start_new_session=True,
            umask=0o077,
            preexec_fn=_end_with(os.getpid()),
        )
    except OSError as error:
        raise BinaryMissing(
            f"{path} can't be run: {error.strerror}", remedy=f"ls -l {path}"
        ) from error
    finally:
        os.close(output)
    try:
        await asyncio.to_thread(_note, layout.pid_file, process.pid, path)
    except BaseException:
        await stop(process)
        raise
    return process


async def stop(process: asyncio.subprocess.Process) -> None:
    """End it: SIGTERM, and SIGKILL when that was not heard."""
    for end in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await process.wait()


def end_survivor(layout: Layout) -> int | None:
    """End the server of a node that was killed; its process id, if there was one.

    It is that one only if process id, start and executable are those that were noted.

    Raises:
        StoreFailed: It is there and can't be ended.
    """
    note = _read_note(layout.pid_file)
    if note is None:
        return None
    survivor = _find(note)
    if survivor is not None:
        _end(survivor)
    layout.pid_file.unlink(missing_ok=True)
    return None if survivor is None else note.pid


def _open_output(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise private.refused(path, error) from error


def _note(pid_file: Path, pid: int, path: Path) -> None:
    note = _PidFile(pid, start_mark(pid) or "", str(path.resolve()))
    private.write(pid_file, msgspec.json.encode(note))


def _read_note(path: Path) -> _PidFile | None:
    content = private.read(path)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=_PidFile)
    except msgspec.DecodeError:
        return None


def _find(note: _PidFile) -> psutil.Process | None:
    if not note.started or start_mark(note.pid) != note.started:
        return None
    try:
        process = psutil.Process(note.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        executable = process.exe().removesuffix(_DELETED)
    except psutil.Error:
        return None
    return process if executable == note.executable else None


def _end(process: psutil.Process) -> None:
    for end in (process.terminate, process.kill):
        try:
            end()
            process.wait(STOP_S)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            continue
        except psutil.AccessDenied as error:
            raise StoreFailed(
                f"nats-server (pid {process.pid}) of a node that was killed still has "
                "the store open, and belongs to another user",
                remedy=f"as that user: kill {process.pid}",
            ) from error
        return
    raise StoreFailed(
        f"nats-server (pid {process.pid}) of a node that was killed does not end",
        remedy=f"kill -9 {process.pid}; look at its disk if it still stays",
    )


def _end_with(parent: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel
