"""An hour at the console, on a node that works: does it grow, and does it leave anything?

A person walks through all views, opens, filters, holds and resizes, while agents come and
go and tasks are done. Judged: memory after a warm-up, open files, threads; that `detach`
leaves the node and nothing else; that a terminal which vanishes leaves no console.

    python bench/console_soak.py [--minutes 60] [--rate 20] [--json FILE]
"""

import argparse
import asyncio
import itertools
import json
import logging
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from terminal import NotComplete, Terminal, anything, shows
from throwaway import Node, end_in_order, nexa, running_node

from nexa_node.agent import Agent, Job

CAPABILITY, STEADY, COMING = "echo", 4, "guest"
STEP_S = 1.0
"""From one key to the next."""
WARM_UP = 1 / 3
"""This part of the time is not judged: lists and histories fill until they are full."""
WINDOW = 0.15
"""The first and the last part of what is judged: their medians are compared."""
GROWTH_MB, GROWTH = 5.0, 0.05
"""May be more at the end: so much, or this part of it."""
SIZES = ((120, 40), (80, 24), (200, 60), (40, 12), (120, 40))
WALK = (
    "2", "j", "j", "\r", "\x1b", "3", "j", "\r", "\x1b", "s", "S", "4", "/", "echo",
    "\r", "j", "\r", "\x1b", "\x1b", "!", "!", "5", "]", "]", "[", "6", "]", "]", "[", "[",
    "7", "+", "-", "\x1b[D", "\x1b[C", "8", "G", "g", "]", "9", "]", "?", "\x1b", ":",
    "\x1b", "1", "z", "z", ",", ".", "p", "1", "t", "\x1b", "0", "1", "\x0c",
)  # fmt: skip
"""What is pressed, one after the other, again and again."""


@dataclass(frozen=True)
class Sample:
    """The console's process at one time."""

    at_s: float
    uss_mb: float
    files: int
    threads: int
    cpu_s: float
    bytes: int


@contextmanager
def load(node: Node, rate: float) -> Iterator[None]:
    """Agents that echo, others that come and go, and tasks, until the end of the block."""
    over = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_work(node, rate, over)))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


async def _work(node: Node, rate: float, over: threading.Event) -> None:
    async def echo(job: Job) -> object:
        if job.data == "bad":
            raise ValueError("the file is not there")
        return job.data

    def agent(name: str) -> Agent:
        made = Agent(name, url=node.url, token=node.token, slots=8)
        made.task(CAPABILITY)(echo)
        return made

    steady = [agent(f"steady-{number}") for number in range(STEADY)]
    for one in steady:
        await one.__aenter__()
    try:
        for number in itertools.count():
            if over.is_set():
                return
            if number % max(1, round(rate * 10)) == 0:
                async with agent(f"{COMING}-{number % 7}") as guest:
                    await guest.submit(CAPABILITY, "hello")
            with suppress(Exception):
                await steady[0].submit(CAPABILITY, "bad" if number % 50 == 0 else 1)
            await asyncio.sleep(1 / rate)
    finally:
        for one in steady:
            await one.__aexit__(None, None, None)


def walk(terminal: Terminal, seconds: float) -> list[Sample]:
    """Use the console for so long; a sample after each round of keys."""
    samples: list[Sample] = []
    began = time.monotonic()
    sizes = itertools.cycle(SIZES)
    count = 0
    for key in itertools.cycle((*WALK, None)):
        if key is None:
            terminal.resize(*next(sizes))
        else:
            terminal.send(key)
        count += terminal.watch(STEP_S)
        now = time.monotonic() - began
        if not samples or now - samples[-1].at_s >= min(10.0, seconds / 40):
            samples.append(_sample(terminal, now, count))
            print(f"{now:6.0f} s  {samples[-1].uss_mb:6.1f} MB", file=sys.stderr)
        if now >= seconds:
            return samples
    raise AssertionError("a cycle has no end")


def _sample(terminal: Terminal, at_s: float, count: int) -> Sample:
    process = psutil.Process(terminal.child.pid)
    times = process.cpu_times()
    return Sample(
        at_s=round(at_s, 1),
        uss_mb=round(process.memory_full_info().uss / 1e6, 2),
        files=process.num_fds(),
        threads=process.num_threads(),
        cpu_s=round(times.user + times.system, 2),
        bytes=count,
    )


def judged(
    samples: list[Sample], seconds: float
) -> tuple[dict[str, object], list[str]]:
    """Compare the last part with the first after the warm-up; and what is wrong with it."""
    warm = [one for one in samples if one.at_s >= WARM_UP * seconds]
    part = max(3, round(len(warm) * WINDOW))
    first, last = warm[:part], warm[-part:]

    def both(name: str) -> tuple[float, float]:
        return _median(first, name), _median(last, name)

    memory, files, threads = both("uss_mb"), both("files"), both("threads")
    allowed = max(GROWTH_MB, GROWTH * memory[0])
    faults: list[str] = []
    if memory[1] - memory[0] > allowed:
        faults.append(f"memory grew from {memory[0]:g} to {memory[1]:g} MB")
    if files[1] > files[0] + 2:
        faults.append(f"open files grew from {files[0]:g} to {files[1]:g}")
    if threads[1] > threads[0] + 2:
        faults.append(f"threads grew from {threads[0]:g} to {threads[1]:g}")
    took = warm[-1].at_s - warm[0].at_s
    told: dict[str, object] = {
        "minutes": round(seconds / 60, 1),
        "uss_mb": {
            "at_start": samples[0].uss_mb,
            "after_warm_up": memory[0],
            "at_end": memory[1],
            "most": max(one.uss_mb for one in samples),
        },
        "files": files,
        "threads": threads,
        "cpu_percent": round(100 * (warm[-1].cpu_s - warm[0].cpu_s) / took, 1),
        "bytes_per_s": round((warm[-1].bytes - warm[0].bytes) / took),
    }
    return told, faults


def _median(samples: list[Sample], name: str) -> float:
    return statistics.median(float(getattr(one, name)) for one in samples)


def consoles(node: Node) -> list[int]:
    """Processes of this bench's folder that are neither the node nor its store."""
    home = node.environ["NEXA_HOME"]
    main = psutil.Process(node.pid)
    ours = {node.pid, *(one.pid for one in main.children(recursive=True))}
    found: list[int] = []
    for process in psutil.process_iter(["environ", "status"]):
        environ = process.info["environ"] or {}
        if process.info["status"] == psutil.STATUS_ZOMBIE or process.pid in ours:
            continue
        if environ.get("NEXA_HOME") == home:
            found.append(process.pid)
    return found


def ends(node: Node, command: list[str]) -> list[str]:
    """What is wrong with the ways to leave."""
    faults: list[str] = []
    with Terminal(command, environ=node.environ) as terminal:
        terminal.until(anything)
        terminal.vanish()
        try:
            terminal.child.wait(10)
        except subprocess.TimeoutExpired:
            faults.append("a console outlived its terminal")
    if consoles(node):
        faults.append(f"processes are left: {consoles(node)}")
    if not psutil.pid_exists(node.pid):
        faults.append("the node ended with a console")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=20.0, help="tasks per second")
    parser.add_argument("--json", type=Path, metavar="FILE", help="samples, too")
    given = parser.parse_args()
    end_in_order()
    logging.disable(logging.CRITICAL)  # each bad task would be told
    seconds = given.minutes * 60
    command = [*nexa(), "--no-splash"]
    with running_node() as node, load(node, given.rate):
        with Terminal(command, environ=node.environ) as terminal:
            terminal.until(shows("HEALTHY|DEGRADED"))
            try:
                samples = walk(terminal, seconds)
            except NotComplete as error:
                code = terminal.child.wait(10)
                shown = "\n".join(line.rstrip() for line in terminal.screen.lines)
                print(f"{error}, with {code}\n{shown.rstrip()}", file=sys.stderr)
                return 1
            terminal.send("\x11")
            terminal.watch(1.0)
            terminal.send("q")
            with suppress(NotComplete):  # that it ends is what we wait for
                terminal.watch(10.0)
            code = terminal.child.wait(10)
        told, faults = judged(samples, seconds)
        if code != 0:
            faults.append(f"detach ended with {code}")
        faults += ends(node, command)
        told["faults"] = faults
    print(json.dumps(told, indent=2))
    if given.json:
        given.json.write_text(
            json.dumps({**told, "samples": [asdict(one) for one in samples]})
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
