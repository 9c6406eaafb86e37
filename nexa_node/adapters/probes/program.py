"""`exec`: a program says how it is, by its exit code and its last line.

It gets no shell, no input and none of nexa's own secrets, and leads a process group of
its own, so that all it started ends with it: when it is done, late, or called off.
"""

import asyncio
import contextlib
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from nexa_node.adapters.probes.asking import Asking, Look, Unfit, Warned
from nexa_node.adapters.probes.text import decoded

_PASSED_ON = frozenset(
    ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")
)
"""Nothing else of the node's environment: what a check prints is shown and kept, and
the node's environment may hold anybody's secrets."""
_KEPT = 8 * 1024
_CHUNK = 64 * 1024
_DRAIN_S = 0.5
"""How long to read on after it ended, if what it started still holds its output."""
_PASS, _WARN = 0, 1


async def look(asking: Asking) -> Look:
    """Run it to its end."""
    if not asking.spec.command:
        raise Unfit("no command is given", asking.correct("command"))
    output = _Output()
    with contextlib.closing(output):
        async with _started(asking, output) as child:
            code = await child.wait()
            await output.drained()
        return _judged(asking, code, output.last_line())


class _Output:
    """The end of what a program says.

    A pipe of our own: asyncio's would make the wait for a program last until all that
    it left behind has hung up, too.
    """

    def __init__(self) -> None:
        self._mine, self.theirs = os.pipe()
        os.set_blocking(self._mine, False)
        self._said = bytearray()
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._mine, self._read)

    def close(self) -> None:
        """Hang up."""
        self._loop.remove_reader(self._mine)
        os.close(self._mine)
        self.handed_over()

    def handed_over(self) -> None:
        """Let the program alone have the writing end."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    async def drained(self) -> None:
        """Wait until all is read, or a moment if something still holds the other end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self._ended.wait()

    def last_line(self) -> str:
        """The last line that is not empty, made printable."""
        lines = (decoded(bytes(line)) for line in reversed(self._said.splitlines()))
        return next((line for line in lines if line), "")

    def _read(self) -> None:
        part = os.read(self._mine, _CHUNK)
        if not part:
            self._loop.remove_reader(self._mine)
            self._ended.set()
        self._said += part
        del self._said[:-_KEPT]


def _judged(asking: Asking, code: int, last: str) -> Look:
    ended = f"it ended with {_ended(code)}"
    said = f"{ended}: {last}" if last else ended
    again = f"run it: {shlex.join(asking.spec.command)}"
    if code == _PASS:
        return Look(last or "it ended with 0")
    if code == _WARN:
        return Look(
            last or ended, Warned(said, f"{again}; or {asking.correct('command')}")
        )
    raise Unfit(said, f"{again}; or {asking.correct('command')}")


def _ended(code: int) -> str:
    if code >= 0:
        return str(code)
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


@asynccontextmanager
async def _started(asking: Asking, output: _Output) -> AsyncGenerator[Process]:
    """Start it; on leaving, its whole process group is gone."""
    program, *arguments = asking.spec.command
    environ = {
        name: text for name, text in asking.environ.items() if name in _PASSED_ON
    }
    try:
        child = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=DEVNULL,
            stdout=output.theirs,
            stderr=STDOUT,
            env=environ,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Unfit(
            f"{program} can't be run: {why}",
            f"command -v {program}; or {asking.correct('command')}",
        ) from error
    output.handed_over()
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        await asyncio.shield(child.wait())
