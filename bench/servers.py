"""Processes that a bench starts and stops, and what they cost."""

import atexit
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from throwaway import uninterrupted

STOP_S = 10.0
START_S = 30.0
MEASURE_S = 300.0
"""A process that has not measured by then hangs."""

_started: list[subprocess.Popen[str]] = []


@contextmanager
def process(
    command: list[str],
    *,
    environ: Mapping[str, str],
    folder: Path,
    read: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """Start a program; it and all it started are gone afterwards.

    Args:
        command: The program and its arguments.
        environ: Its environment.
        folder: Where it runs; what it says goes to `output.log` in it.
        read: Leave its standard output to be read.
    """
    started: subprocess.Popen[str] | None = None
    try:
        with uninterrupted(), (folder / "output.log").open("a") as log:
            started = subprocess.Popen(
                command,
                env=dict(environ),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if read else log,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is ours; we stop them in order
            )
            _started.append(started)
        yield started
    finally:
        if started is not None:
            with uninterrupted():
                _stop(started)


@atexit.register
def _stop_all() -> None:
    """Whatever a signal at the wrong moment kept from being stopped."""
    while _started:
        _stop(_started[-1])


def _stop(started: subprocess.Popen[str]) -> None:
    """End the process, and then whatever is left of its session."""
    if started.poll() is None:
        started.terminate()
    try:
        started.wait(STOP_S)
    except subprocess.TimeoutExpired:
        print(f"{started.args} did not stop: killed", file=sys.stderr)
    for left in psutil.process_iter():
        try:
            if os.getsid(left.pid) == started.pid:
                left.kill()
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    started.wait()
    if started.stdout is not None:
        started.stdout.close()
    _started.remove(started)


@contextmanager
def processes(
    commands: Iterable[list[str]], *, environ: Mapping[str, str], folder: Path
) -> Iterator[list[int]]:
    """Start several; their pids."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(process(each, environ=environ, folder=folder)).pid
            for each in commands
        ]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="nexa-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_until(is_so: Callable[[], bool], what: str, log: Path | None = None) -> None:
    """Wait for something to be ready.

    Raises:
        SystemExit: It never was; the end of `log` is told.
    """
    until = time.monotonic() + START_S
    while not is_so():
        if time.monotonic() > until:
            said = log.read_text()[-2000:] if log is not None and log.exists() else ""
            raise SystemExit(f"{what} did not start within {START_S:g} s\n{said}")
        time.sleep(0.02)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


# -- what it costs -------------------------------------------------------------


def family(pids: Iterable[int]) -> list[psutil.Process]:
    """These processes and all they started, now."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            one = psutil.Process(pid)
            for each in (one, *one.children(recursive=True)):
                found[each.pid] = each
        except psutil.Error:
            continue
    return list(found.values())


def cpu_s(pids: Iterable[int]) -> float:
    """Processor seconds of processes and all they started, so far."""
    spent = 0.0
    for each in family(pids):
        try:
            times = each.cpu_times()
        except psutil.Error:
            continue
        spent += times.user + times.system
    return spent


def measured_by(
    command: list[str], *, environ: Mapping[str, str], pids: Sequence[int]
) -> tuple[dict[str, float], list[float]]:
    """Let a process measure that tells as `peers/measure.py` does.

    Args:
        command: The process.
        environ: Its environment.
        pids: Who works for it.

    Returns:
        Its figures; processor seconds of it, and of each of `pids` with all they
        started, in its phase `many`.

    Raises:
        SystemExit: It told no figures; what it said is told.
    """
    figures: dict[str, float] = {}
    spent: list[float] = []
    with (
        scratch() as folder,
        process(command, environ=environ, folder=folder, read=True) as started,
    ):
        watchdog = threading.Timer(MEASURE_S, started.kill)
        watchdog.daemon = True
        watchdog.start()
        everyone = [started.pid, *pids]
        assert started.stdout is not None
        for line in started.stdout:
            told = json.loads(line)
            if told.get("phase") == "many":
                spent = [-cpu_s([each]) for each in everyone]
            elif told.get("phase") == "over":
                spent = [
                    cpu_s([each]) + so_far
                    for each, so_far in zip(everyone, spent, strict=True)
                ]
            figures |= told.get("figures", {})
        watchdog.cancel()
        started.wait()
        if not figures:
            said = (folder / "output.log").read_text()[-3000:]
            raise SystemExit(f"{command} told no figures:\n{said}")
    return figures, spent


def sync_ms(folder: Path, times: int = 200) -> float:
    """The median of how long an fsync of 400 bytes takes on this disk."""
    took: list[float] = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(b"x" * 400)
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(took), 3)


def machine(folder: Path) -> dict[str, object]:
    """What figures are to be read with."""
    load = os.getloadavg()[0]
    return {
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "load_before": round(load, 2),
        "quiet": load < 0.3,
        "fsync_ms": sync_ms(folder),
    }
