"""How soon `nexa` shows something, and everything, against its peers.

The smallest Textual application, and posting and harlequin from PyPI, take turns with
the splash and with the Overview on a running node. Exit 1 when a goal is missed.

    python bench/startup.py [--runs 7] [--json]
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from series import Goal, Series, report, take_turns
from terminal import Predicate, Terminal, anything, shows
from throwaway import Node, clean_environ, nexa, peer, running_node

HERE = Path(__file__).resolve().parent
SPLASH = "nexa splash"
OVERVIEW = "nexa overview"
MINIMAL = "one Static"
POSTING = "posting"
HARLEQUIN = "harlequin"


def measure(
    series: Series,
    who: str,
    command: list[str],
    predicate: Predicate,
    *,
    environ: Mapping[str, str],
    idle_s: float = 0.0,
) -> Callable[[], None]:
    """One start, added to `series`."""

    def run() -> None:
        with Terminal(command, environ=environ) as terminal:
            started = terminal.until(predicate)
            series.add(who, **asdict(started))
            if idle_s:
                idle = terminal.idle(idle_s)
                series.add(
                    who, idle_cpu=idle.cpu_percent, idle_bytes_s=idle.bytes_per_s
                )

    return run


def contestants(
    series: Series, node: Node, peers: Path | None, *, complete: str, idle_s: float
) -> dict[str, Callable[[], None]]:
    """Everybody who takes part."""
    bare = clean_environ()
    found: dict[str, Callable[[], None]] = {
        MINIMAL: measure(
            series,
            MINIMAL,
            [sys.executable, str(HERE / "peers" / "one_static.py")],
            shows("complete"),
            environ=bare,
        ),
        SPLASH: measure(series, SPLASH, nexa(), anything, environ=node.environ),
        OVERVIEW: measure(
            series,
            OVERVIEW,
            [*nexa(), "--no-splash"],
            shows(*complete.split(",")),
            environ=node.environ,
            idle_s=idle_s,
        ),
    }
    if peers is not None:
        # A home of their own: no settings of this machine, nothing left in it.
        home = clean_environ(HOME=str(peers), XDG_CONFIG_HOME="", XDG_DATA_HOME="")
        found[POSTING] = measure(
            series,
            POSTING,
            [str(peer("posting", peers) / "posting")],
            shows(r"Collection", r"Send"),
            environ=home,
        )
        found[HARLEQUIN] = measure(
            series,
            HARLEQUIN,
            [str(peer("harlequin", peers) / "harlequin")],
            shows(r"Data Catalog", r"Run Query"),
            environ=home,
        )
    return found


def goals(series: Series) -> list[Goal]:
    """What the console promises."""
    visible, complete = "visible_ms", "complete_ms"

    def ratio(who: str, what: str, other: str, of: str) -> float:
        return series.median(who, what) / series.median(other, of)

    kept = [
        Goal(
            "splash, first frame / one Static, first frame",
            ratio(SPLASH, visible, MINIMAL, visible),
            1.5,
        ),
        Goal(
            "Overview, complete / one Static, complete",
            ratio(OVERVIEW, complete, MINIMAL, complete),
            2.0,
        ),
        Goal(
            "bytes to the complete Overview / 40 KB",
            series.median(OVERVIEW, "bytes") / 40_000,
            1.0,
        ),
        Goal("memory / 60 MB", series.median(OVERVIEW, "rss_mb") / 60, 1.0),
    ]
    for rival in (POSTING, HARLEQUIN):
        if series.has(rival, visible):
            name = f"Overview, complete / {rival}, complete"
            kept.append(Goal(name, ratio(OVERVIEW, complete, rival, complete), 1.0))
            name = f"splash, first frame / {rival}, first frame"
            kept.append(Goal(name, ratio(SPLASH, visible, rival, visible), 1.0))
    if series.has(OVERVIEW, "idle_cpu"):
        idle = series.median(OVERVIEW, "idle_cpu") / 1.5
        kept.append(Goal("idle Overview, CPU / 1.5 % of a core", idle, 1.0))
        idle = series.median(OVERVIEW, "idle_bytes_s") / 2000
        kept.append(Goal("idle Overview, bytes per second / 2 KB", idle, 1.0))
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--idle", type=float, default=0.0, metavar="S")
    parser.add_argument(
        "--complete",
        default="live,HEALTHY,Agents,Tasks,load,GiB free,Events,node.healthy",
        help="what must be on a complete Overview, comma-separated (%(default)s)",
    )
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path(tempfile.gettempdir()) / "nexa-bench-peers",
        help="where posting and harlequin are installed (%(default)s)",
    )
    parser.add_argument("--no-peers", action="store_true", help="without the two")
    given = parser.parse_args()
    # What is installed has its .pyc files; a checkout that was just edited has not.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "nexa_node", "nexa_tui"],
        cwd=Path(__file__).parents[1],
        check=False,
    )
    series = Series()
    peers = None if given.no_peers else given.peers
    with running_node() as node:
        everybody = contestants(
            series, node, peers, complete=given.complete, idle_s=given.idle
        )
        take_turns(given.runs, everybody)
    return report(series, goals(series), runs=given.runs, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
