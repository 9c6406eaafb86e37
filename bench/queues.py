"""Tasks that do nothing, from submission to a result the submitter knows, beside peers.

nexa, Celery and Dramatiq (on Redis), taskiq-nats and Dask take turns; each run starts
everything afresh, with two workers. The peers are installed from PyPI, once.

    python bench/queues.py [--runs 5] [--tasks 2000] [--only nexa,dask] [--json FILE]
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from contestants import CELERY, NEXA, PACKAGES, Contestant, everybody
from readme import rewrite
from series import Series, take_turns
from servers import machine, measured_by, scratch
from throwaway import PEERS, end_in_order, environment, versions

FIGURES = ("tasks_s", "p50_ms", "p99_ms", "cpu_ms")


def run_once(contestant: Contestant, given: argparse.Namespace) -> dict[str, float]:
    """Start a contestant, let its submitter measure, stop everything."""
    words = ["--tasks", str(given.tasks), "--alone", str(given.alone)]
    words += ["--warm-up", str(given.warm_up)]
    with contestant.start() as running:
        figures, spent = measured_by(
            [*running.submit, *words], environ=running.environ, pids=running.pids
        )
    return figures | {"cpu_ms": round(sum(spent) / given.tasks * 1000, 3)}


def turns(
    series: Series, found: dict[str, Contestant], given: argparse.Namespace
) -> dict[str, Callable[[], None]]:
    """Each contestant's turn."""

    def turn(name: str) -> None:
        figures = run_once(found[name], given)
        print(f"    {figures}", file=sys.stderr, flush=True)
        series.add(name, **figures)

    return {name: lambda name=name: turn(name) for name in found}


def rows(series: Series, found: dict[str, Contestant]) -> list[str]:
    """The medians as a table in Markdown, with ratios to Celery's."""
    base = CELERY if CELERY in series.values else next(iter(series.values))
    lines = [
        f"| | tasks/s | ÷ {base}'s | p50 ms | p99 ms | p50 ÷ {base}'s | CPU ms | durable |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in series.values:
        many, p50, p99, cpu = (series.median(name, what) for what in FIGURES)
        of_many = many / series.median(base, "tasks_s")
        of_p50 = p50 / series.median(base, "p50_ms")
        lines.append(
            f"| {name} | {many:,.0f} | {of_many:.2f} | {p50:.2f} | {p99:.2f} "
            f"| {of_p50:.2f} | {cpu:.2f} | {found[name].durable} |"
        )
    return lines


def goals(series: Series) -> list[str]:
    """What nexa promises, and whether it is so here."""
    if NEXA not in series.values:
        return []
    mine = series.median(NEXA, "tasks_s")
    by = "task.watch" if series.median(NEXA, "by_watch") else "asking task.get"
    told = [("p50 with one in flight at most 5 ms", series.median(NEXA, "p50_ms"), 5.0)]
    for rival, times in ((CELERY, 3.0), ("taskiq-nats", 1.0)):
        if rival in series.values:
            wanted = times * series.median(rival, "tasks_s")
            what = f"tasks/s at least {times:g} times those of {rival}"
            told.append((what, wanted, mine))
    return [
        f"nexa's submitter learns of results by {by}.",
        "",
    ] + [
        f"{'kept' if figure <= most else 'MISSED'}: {what} ({figure:,.2f} ≤ {most:,.2f})"
        for what, figure, most in told
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=2000, help="submitted at once")
    parser.add_argument("--alone", type=int, default=300, help="one after the other")
    parser.add_argument("--warm-up", type=int, default=200, help="before, in each run")
    parser.add_argument("--only", help="names, comma-separated")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--write-readme", action="store_true")
    parser.add_argument("--peers", type=Path, default=PEERS, help="where (%(default)s)")
    given = parser.parse_args()
    end_in_order()
    names = given.only.split(",") if given.only else None
    installed: dict[str, str] = {}
    bin_folder = given.peers
    if names != [NEXA]:
        bin_folder = environment("queues", PACKAGES, given.peers)
        installed = versions(bin_folder, PACKAGES)
    found = everybody(bin_folder)
    if names is not None:
        unknown = [name for name in names if name not in found]
        if unknown:
            parser.error(
                f"--only: no {', '.join(unknown)}; there are {', '.join(found)}"
            )
        found = {name: found[name] for name in names}
    with scratch() as folder:
        where = machine(folder)
    series = Series()
    take_turns(given.runs, turns(series, found, given))
    told = [*rows(series, found), "", *goals(series)]
    print("\n".join(told))
    if given.json:
        whole = {
            "machine": where,
            "versions": installed,
            "runs": given.runs,
            "tasks": given.tasks,
            "alone": given.alone,
            "durable": {name: each.durable for name, each in found.items()},
            "medians": series.medians(),
            "all": series.values,
        }
        given.json.write_text(json.dumps(whole, indent=2))
    if given.write_readme:
        rewrite("queues", told, where=where, runs=given.runs, versions=installed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
