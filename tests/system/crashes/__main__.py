"""The crash trial, by hand:

python -m tests.system.crashes --tasks 20000 --seed N --kills 40 --report FILE
"""

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.system.crashes.fleet import tell
from tests.system.crashes.trial import Order, Trial


def main() -> int:
    """Try it; 1 if anything was violated."""
    asked = argparse.ArgumentParser(prog="python -m tests.system.crashes")
    asked.add_argument("--tasks", type=int, default=20_000)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--kills", type=int, default=40)
    asked.add_argument("--report", type=Path, help="where the JSON goes; else stdout")
    asked.add_argument("--keep", type=Path, help="an empty folder for all that is left")
    given = asked.parse_args()
    order = Order(tasks=given.tasks, seed=given.seed, kills=given.kills)
    with tempfile.TemporaryDirectory(prefix="nexa-crash-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = Trial(order, folder, tell).run()
    written = msgspec.json.format(msgspec.json.encode(found), indent=2)
    if given.report is None:
        sys.stdout.write(written.decode() + "\n")
    else:
        given.report.write_bytes(written + b"\n")
    for violation in found["violations"][:20]:
        tell(f"{violation['kind']} {violation['subject']}: {violation['words']}")
    tell(f"{found['tasks_per_s']} tasks/s, {len(found['violations'])} violations")
    return 1 if found["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
