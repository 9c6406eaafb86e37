"""The self-test before there is a node: `python -m nexa_node check` as a child."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from nexa_node.contract.checks import CheckResult
from nexa_node.contract.errors import NexaError

_LINE_LIMIT = 1024 * 1024
_GRACE_S = 3.0
CHECK = (sys.executable, "-m", "nexa_node", "check")


async def run_here(
    environ: Mapping[str, str],
    *,
    only: str | None = None,
    command: Sequence[str] = CHECK,
) -> AsyncIterator[CheckResult]:
    """Run the checks on this machine: results as they come, `running` ones included.

    The child ends when the iteration does, however that happens.

    Args:
        environ: What the child gets, without Textual's variables.
        only: One check's id.
        command: The program that checks.

    Raises:
        NexaError: It could not run, in its own words.
    """
    words = [*command, *(("--only", only) if only else ())]
    kept = {key: text for key, text in environ.items() if not key.startswith("TEXTUAL")}
    try:
        child = await asyncio.create_subprocess_exec(
            *words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=kept, limit=_LINE_LIMIT
        )
    except OSError as error:
        raise NexaError(
            f"the self-test could not start: {error.strerror or error}",
            remedy="install nexa again: its Python is gone",
        ) from error
    try:
        async for result in _results(child):
            yield result
    finally:
        await _end(child)


async def _results(child: Process) -> AsyncIterator[CheckResult]:
    assert child.stdout is not None
    decoder = msgspec.json.Decoder(CheckResult)
    found = False
    async for line in child.stdout:
        try:
            result = decoder.decode(line)
        except msgspec.DecodeError as error:
            raise NexaError(
                f"the self-test says what this nexa can't read ({error})",
                remedy="nexa version; install nexa again",
            ) from error
        found = True
        yield result
    if not found:
        raise await _silence(child)


async def _silence(child: Process) -> NexaError:
    assert child.stderr is not None
    said = (await child.stderr.read()).decode(errors="replace").strip()
    code = await child.wait()
    last = said.splitlines()[-1] if said else f"it ended with code {code}"
    return NexaError(
        f"the self-test could not run: {last}", remedy="nexa config validate"
    )


async def _end(child: Process) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.terminate()
        try:
            async with asyncio.timeout(_GRACE_S):
                await child.communicate()
        except TimeoutError:
            child.kill()
            await child.communicate()
    else:
        await child.communicate()
