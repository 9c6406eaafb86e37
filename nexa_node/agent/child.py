"""Running a program once: input, output within a limit, and a certain end.

The program leads a process group of its own. When it ends, is cancelled or takes too
long, whatever is left of the group is ended with it; on Linux the kernel kills it when
this process dies, however it dies.
"""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

OUTPUT_LIMIT = 256 * 1024
"""Bytes of standard output: the protocol's limit of a result."""
STDERR_KEPT = 4096
"""Bytes of standard error that a failure tells: the last ones."""
LINE_LIMIT = 8192
"""Bytes of one line of standard error; longer ones are cut into pieces."""
TERM_PATIENCE_S = 2.0
"""Between SIGTERM and SIGKILL."""
_PIPE_PATIENCE_S = 1.0
_PR_SET_PDEATHSIG = 1
_CHUNK = 65536


class TooMuchOutput(Exception):
    """The program printed more than `OUTPUT_LIMIT`, and was ended."""


class TookTooLong(Exception):
    """The program ran longer than it may, and was ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the program ended."""

    code: int
    """The exit code; below 0 it is the signal that killed it."""
    output: bytes
    complaint: str
    """The end of its standard error."""


async def run(
    command: Sequence[str],
    *,
    given: bytes,
    environ: Mapping[str, str],
    timeout: float | None,
    on_line: Callable[[str], None],
) -> Ended:
    """Run `command` once. Cancelling ends it.

    Args:
        command: The program and its arguments; no shell.
        given: Its standard input.
        environ: Its environment, whole.
        timeout: Seconds it may take; None for as long as it wants.
        on_line: Called with each line of standard error, as it comes.

    Raises:
        OSError: It could not be started.
        TooMuchOutput: See there.
        TookTooLong: See there.
    """
    loop = asyncio.get_running_loop()
    transport, ears = await loop.subprocess_exec(
        lambda: _Ears(limit=_CHUNK, loop=loop),
        *command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=dict(environ),
        start_new_session=True,
        preexec_fn=_bind_to_parent(),  # one system call, see there
    )
    process = Process(transport, ears, loop)
    try:
        async with asyncio.timeout(timeout):
            return await _attend(process, ears.exited, given, on_line)
    except TimeoutError:
        raise TookTooLong from None
    finally:
        await _end(process, ears.exited)
        transport.close()


class _Ears(SubprocessStreamProtocol):
    """Hears when the program itself exits.

    `Process.wait` returns only when its pipes are closed too, and whatever it left
    running may hold those open.
    """

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit, loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


async def _attend(
    process: Process,
    has_exited: asyncio.Event,
    given: bytes,
    on_line: Callable[[str], None],
) -> Ended:
    loop = asyncio.get_running_loop()
    feeding = loop.create_task(_feed(process, given))
    printed, complained = bytearray(), bytearray()
    output = loop.create_task(_collect(process, printed))
    complaint = loop.create_task(_listen(process, complained, on_line))
    exited = loop.create_task(has_exited.wait())
    tasks = (feeding, output, complaint, exited)
    try:
        await asyncio.wait((exited, output), return_when=asyncio.FIRST_COMPLETED)
        if output.done():
            output.result()
        await exited
        _signal_group(process, signal.SIGKILL)
        await asyncio.wait((output, complaint), timeout=_PIPE_PATIENCE_S)
        if output.done():
            output.result()
        return Ended(_code_of(process), bytes(printed), _text(complained).strip())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _feed(process: Process, given: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(given)
        await process.stdin.drain()
    process.stdin.close()


async def _collect(process: Process, output: bytearray) -> None:
    assert process.stdout is not None
    while chunk := await process.stdout.read(_CHUNK):
        output += chunk
        if len(output) > OUTPUT_LIMIT:
            raise TooMuchOutput


async def _listen(
    process: Process, kept: bytearray, on_line: Callable[[str], None]
) -> None:
    assert process.stderr is not None
    pending = bytearray()
    while chunk := await process.stderr.read(LINE_LIMIT):
        kept += chunk
        del kept[:-STDERR_KEPT]
        pending += chunk
        *lines, rest = pending.split(b"\n")
        pending = bytearray(rest)
        if len(pending) > LINE_LIMIT:
            lines.append(pending)
            pending = bytearray()
        for line in lines:
            on_line(_text(line))
    if pending:
        on_line(_text(pending))


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", errors="replace").rstrip("\r\n")


async def _end(process: Process, has_exited: asyncio.Event) -> None:
    """End what is left of the program: politely, then certainly."""
    if not has_exited.is_set():
        _signal_group(process, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(TERM_PATIENCE_S):
                await has_exited.wait()
    _signal_group(process, signal.SIGKILL)
    await has_exited.wait()


def _code_of(process: Process) -> int:
    assert process.returncode is not None, "it has exited"
    return process.returncode


def _signal_group(process: Process, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _bind_to_parent() -> Callable[[], None] | None:
    """Make what the child does between fork and exec: ask to die with this process.

    Only a C function that is loaded already is called there: nothing that could wait
    for a lock another thread held at the fork.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent, getppid, leave = os.getpid(), os.getppid, os._exit

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if getppid() != parent:  # it died before we asked
            leave(1)

    return bind
