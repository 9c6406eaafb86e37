"""How long commands take, against a bare interpreter and one that imports httpx.

python bench/cli.py [--runs 11] [--json]
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from series import Goal, Series, report, take_turns
from throwaway import clean_environ, nexa, running_node

BARE, HTTPX = "python -c pass", "python -c 'import httpx'"
VERSION, TASK_LIST = "nexa --version", "nexa task list"


def measure(
    series: Series, who: str, command: list[str], environ: Mapping[str, str]
) -> Callable[[], None]:
    """One run, added to `series`."""

    def run() -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run(
            command, env=dict(environ), check=True, stdout=subprocess.DEVNULL
        )
        took = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        series.add(who, wall_ms=took * 1000, cpu_ms=cpu * 1000)

    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    series = Series()
    bare = clean_environ()
    with running_node() as node:
        contestants = {
            BARE: measure(series, BARE, [sys.executable, "-c", "pass"], bare),
            HTTPX: measure(series, HTTPX, [sys.executable, "-c", "import httpx"], bare),
            VERSION: measure(series, VERSION, [*nexa(), "--version"], bare),
            TASK_LIST: measure(
                series, TASK_LIST, [*nexa(), "task", "list"], node.environ
            ),
        }
        for run in contestants.values():
            run()  # once for nothing: files read, byte code compiled
        series.values.clear()
        take_turns(given.runs, contestants)
    base = series.median(HTTPX, "wall_ms")
    goals = [
        Goal(f"{who} / {HTTPX}", series.median(who, "wall_ms") / base, 2.0)
        for who in (VERSION, TASK_LIST)
    ]
    return report(series, goals, runs=given.runs, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
