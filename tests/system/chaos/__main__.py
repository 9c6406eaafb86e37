"""Chaos, by hand; 1 if anything was violated.

python -m tests.system.chaos --nodes 3 --seconds 180 --seed N --faults kill,stop --report FILE
"""

import argparse
import random
import resource
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.system.chaos.plan import plan
from tests.system.chaos.report import lines
from tests.system.chaos.runner import Order, Run, judge, tell
from tests.system.chaos.town import NAMES
from tests.system.chaos.vocabulary import GROUPS, VOCABULARY, chosen

DEFAULT = "kill,stop,restart,network"


def main() -> int:
    """Do it."""
    asked = argparse.ArgumentParser(prog="python -m tests.system.chaos")
    asked.add_argument("--nodes", type=int, default=3, choices=range(1, len(NAMES) + 1))
    asked.add_argument("--seconds", type=float, default=180.0)
    asked.add_argument("--seed", type=int, help="the same one is the same plan")
    asked.add_argument("--faults", default=DEFAULT, help="kinds or groups; see --list")
    asked.add_argument("--crowd", type=int, default=0, help="idle agents besides")
    asked.add_argument(
        "--strict", action="store_true", help="stale reads are violations, too"
    )
    asked.add_argument("--quick", action="store_true", help="short faults and rests")
    asked.add_argument("--report", type=Path, help="where the JSON goes")
    asked.add_argument("--keep", type=Path, help="an empty folder for all that is left")
    asked.add_argument("--list", action="store_true", help="what can be done, and when")
    asked.add_argument("--judge", type=Path, help="check what --keep kept once more")
    given = asked.parse_args()
    if given.judge is not None:
        return _judge(given.judge)
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    try:
        kinds = chosen(given.faults)
    except ValueError as error:
        asked.error(str(error))
    if given.list:
        _list(seed, given.seconds, kinds, quick=given.quick)
        return 0
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    order = Order(
        seed=seed,
        nodes=given.nodes,
        seconds=given.seconds,
        kinds=kinds,
        crowd=given.crowd,
        quick=given.quick,
        strict=given.strict,
    )
    with tempfile.TemporaryDirectory(prefix="nexa-chaos-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        told = Run(order, folder, tell).run()
    if given.report is not None:
        written = msgspec.json.format(msgspec.json.encode(told), indent=2)
        given.report.write_bytes(written + b"\n")
    for line in lines(told):
        print(line)
    return 1 if told["violations"] else 0


def _judge(folder: Path) -> int:
    found = judge(folder)
    for one in found:
        print(f"VIOLATION {one.kind} {one.subject}: {one.words}")
    print(f"{len(found)} violations")
    return 1 if found else 0


def _list(seed: int, seconds: float, kinds: list[str], *, quick: bool) -> None:
    for name, group in GROUPS.items():
        print(f"{name}: {', '.join(group)}")
    for kind in VOCABULARY.values():
        print(f"{kind.kind:<14}{(kind.__doc__ or '').splitlines()[0]}")
    print(f"seed {seed}, {seconds:.0f} s:")
    for step in plan(seed, seconds=seconds, kinds=kinds, quick=quick):
        print(f"  {step.at:6.1f} s  {step.kind}, held {step.held_s:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
