"""`nexa demo`: real nodes with real agents, in a throw-away folder.

Three kinds of process, as in production: nodes, a dozen agents, this console. A crew
(`demo_crew`) starts them and submits the work; it watches its standard input, so that
it ends everything and removes the folder when this process is gone, however it ended.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import msgspec

from nexa_node.contract.errors import Invalid, NexaError
from nexa_tui.commands.arguments import Parser
from nexa_tui.commands.console import can_draw
from nexa_tui.commands.output import Call, clean

_STOP_S = 90.0
"""Nodes end one after the other, and one that is on its way back first arrives."""
_FAILOVER_NODES, _NODES_MAX = 3, 9
_NOTES_MAX = 20
_OURS = ("NEXA_URL", "NEXA_TOKEN", "NEXA_TOKEN_FILE")


class Tally(msgspec.Struct, kw_only=True):
    """What the crew tells, one line a second."""

    state: str
    elapsed_s: float = 0.0
    submitted: int = 0
    completed: int = 0
    failed: int = 0
    waiting: int = 0
    running: int = 0
    agents: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    per_agent: dict[str, int] = {}
    note: str = ""
    remedy: str | None = None
    nodes: int = 1
    """That there should be."""
    voting: int = 1
    """Of them."""
    kills: int = 0
    heals: int = 0
    longest_ms: float = 0.0
    """The longest that a submission took."""
    missing: int | None = None
    """Tasks that a node took and no node knows; None where they were not counted."""


def run(arguments: list[str], call: Call) -> int:
    """Run the demo until it is quit, its time is over or it is interrupted."""
    options = _parser().parse_args(arguments)
    failover = options.scenario == "failover"
    if options.nodes is None:
        options.nodes = _FAILOVER_NODES if failover else 1
    if not 1 <= options.nodes <= _NODES_MAX:
        raise Invalid(
            f"a demo has 1 to {_NODES_MAX} nodes", remedy="nexa demo --nodes 3"
        )
    if failover and options.nodes < _FAILOVER_NODES:
        raise Invalid(
            f"of {options.nodes} nodes none may be lost: there is nothing to fail over to",
            remedy="nexa demo --nodes 3 --scenario failover",
        )
    if options.agents < 1:
        raise Invalid("a demo needs an agent", remedy="nexa demo --agents 12")
    headless = options.headless or not can_draw(call)
    home = Path(tempfile.mkdtemp(prefix="nexa-demo-"))
    environ = {key: value for key, value in call.environ.items() if key not in _OURS}
    environ |= {"NEXA_HOME": str(home), "NEXA_DEMO": "1"}
    with _signals_end_it(), _crew(options, environ, watched=not headless) as crew:
        first = _ready(crew, call)
        if first.state != "ready":
            raise NexaError(
                first.note or "the demo could not start", remedy=first.remedy
            )
        if headless:
            return _headless(crew, options, call)
        return _console(crew, environ, options, call)


def _parser() -> Parser:
    parser = Parser(
        "demo",
        "Real nodes, a dozen real agents of different speeds, real files, and the\n"
        "console on it. Everything is thrown away at the end.",
    )
    parser.add_argument(
        "--nodes", type=int, metavar="N", help="1; 3 of them for failover"
    )
    parser.add_argument("--agents", type=int, default=12, metavar="N")
    parser.add_argument(
        "--scenario",
        choices=("calm", "incident", "failover"),
        default="calm",
        help="incident: files go missing and agents are killed mid-task;"
        " failover: nodes are killed and brought back",
    )
    parser.add_argument(
        "--headless", action="store_true", help="a line a second instead"
    )
    parser.add_argument("--duration", type=float, metavar="S", help="headless: 30 s")
    parser.add_argument("--theme", metavar="NAME")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--json", action="store_true", help="headless: JSON lines")
    return parser


@contextmanager
def _signals_end_it() -> Generator[None]:
    """Let SIGTERM and a lost terminal end the demo in order, as ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _crew(
    options: argparse.Namespace, environ: dict[str, str], *, watched: bool
) -> Generator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-m", "nexa_tui.commands.demo_crew"]
    words += ["--agents", str(options.agents), "--scenario", options.scenario]
    words += ["--nodes", str(options.nodes), *(["--watched"] if watched else [])]
    crew = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
        start_new_session=True,
    )
    try:
        yield crew
    finally:
        _end(crew)
        if crew.returncode != -signal.SIGKILL:  # then nodes may still be at work there
            # A crew whose node was killed ended before the console wrote its last.
            shutil.rmtree(environ["NEXA_HOME"], ignore_errors=True)


def _end(crew: subprocess.Popen[bytes]) -> None:
    """Close the crew's standard input, by which it ends everything; then wait."""
    assert crew.stdin is not None
    assert crew.stdout is not None
    with suppress(OSError):
        crew.stdin.close()
    crew.stdout.close()
    try:
        crew.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        crew.kill()
        crew.wait()


def _ready(crew: subprocess.Popen[bytes], call: Call) -> Tally:
    """Wait until all is there; a person is told how far it is."""
    while (tally := _next(crew)).state == "starting":
        if call.err.isatty():
            call.note(tally.note)
    return tally


def _next(crew: subprocess.Popen[bytes]) -> Tally:
    assert crew.stdout is not None
    line = crew.stdout.readline()
    if not line:
        return Tally(state="failed", note="the demo's crew ended without a word")
    return msgspec.json.decode(line, type=Tally)


def _headless(
    crew: subprocess.Popen[bytes], options: argparse.Namespace, call: Call
) -> int:
    end = time.monotonic() + (30.0 if options.duration is None else options.duration)
    tally = Tally(state="ready")
    while time.monotonic() < end:
        tally = _next(crew)
        if tally.state == "failed":
            raise NexaError(tally.note, remedy=tally.remedy)
        if options.json:
            call.json(tally)
        else:
            call.line(_line(tally))
            call.out.flush()
    if not options.json:
        _summary(tally, call)
    return 0


def _line(tally: Tally) -> str:
    speed = "" if tally.p50_ms is None else f"  p50 {tally.p50_ms:.0f} ms"
    note = f"  {clean(tally.note)}" if tally.note else ""
    nodes = f"{tally.voting} of {tally.nodes} nodes  " if tally.nodes > 1 else ""
    return (
        f"{tally.elapsed_s:5.0f} s  {nodes}{tally.agents} agents  {tally.waiting:3d} waiting"
        f"  {tally.running:3d} running  {tally.completed:4d} completed"
        f"  {tally.failed:3d} failed{speed}{note}"
    )


def _summary(tally: Tally, call: Call) -> None:
    call.line()
    call.line(f"{tally.completed} tasks completed, {tally.failed} failed for good")
    if tally.p50_ms is not None and tally.p99_ms is not None:
        call.line(
            f"submit to result: p50 {tally.p50_ms:.0f} ms, p99 {tally.p99_ms:.0f} ms"
        )
    if tally.kills:
        call.line(f"{tally.kills} nodes killed, {tally.heals} brought back")
        call.line(f"the longest a submission took: {tally.longest_ms / 1000:.1f} s")
    if tally.missing is not None and tally.nodes > 1:
        lost = "none is lost" if not tally.missing else f"{tally.missing} ARE LOST"
        call.line(f"{tally.submitted} tasks were taken: {lost}")
    for agent, done in sorted(tally.per_agent.items(), key=lambda pair: -pair[1]):
        call.line(f"  {agent:<16}{done:4d}")


def _console(
    crew: subprocess.Popen[bytes],
    environ: dict[str, str],
    options: argparse.Namespace,
    call: Call,
) -> int:
    from nexa_tui.app import ConsoleOptions, run_console

    notes: deque[str] = deque(maxlen=_NOTES_MAX)
    _drain_in_background(crew, notes)
    return run_console(
        ConsoleOptions(
            environ=environ,
            announced=notes,
            first="nodes" if options.nodes > 1 else "overview",
            theme=options.theme,
            ascii=options.ascii,
            mouse="SSH_CONNECTION" not in call.environ,
        )
    )


def _drain_in_background(crew: subprocess.Popen[bytes], notes: deque[str]) -> None:
    """Read the crew's lines, so that a full pipe doesn't stop it; keep what it announces."""
    import threading

    assert crew.stdout is not None
    descriptor = os.dup(crew.stdout.fileno())

    def drain() -> None:
        with os.fdopen(descriptor, "rb") as lines, suppress(msgspec.DecodeError):
            for line in lines:
                tally = msgspec.json.decode(line, type=Tally)
                if tally.note:
                    notes.append(tally.note)

    threading.Thread(target=drain, daemon=True).start()
