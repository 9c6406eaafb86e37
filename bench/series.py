"""Interleaved runs, medians and ratios: what all benches share.

The runs of all contestants take turns, so that a machine that slows down slows all of
them; what is compared is the median of each.
"""

import json
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Series:
    """Named measurements of several contestants."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, who: str, **measured: float) -> None:
        for what, value in measured.items():
            self.values.setdefault(who, {}).setdefault(what, []).append(value)

    def median(self, who: str, what: str) -> float:
        return statistics.median(self.values[who][what])

    def medians(self) -> dict[str, dict[str, float]]:
        return {
            who: {what: round(statistics.median(all_), 3) for what, all_ in of.items()}
            for who, of in self.values.items()
        }

    def has(self, who: str, what: str) -> bool:
        return what in self.values.get(who, {})


@dataclass(frozen=True)
class Goal:
    """A ratio that is to be kept."""

    name: str
    ratio: float
    at_most: float

    @property
    def kept(self) -> bool:
        return self.ratio <= self.at_most


def take_turns(runs: int, contestants: Mapping[str, Callable[[], None]]) -> None:
    """Run everybody once, `runs` times over; progress goes to standard error."""
    for number in range(runs):
        for name, run in contestants.items():
            print(f"run {number + 1} of {runs}: {name}", file=sys.stderr, flush=True)
            run()


def table(series: Series) -> str:
    """The medians, one line for each contestant."""
    columns = sorted({what for of in series.values.values() for what in of})
    width = max(len(who) for who in series.values)
    lines = [" " * width + "".join(f"{what:>18}" for what in columns)]
    for who, of in series.medians().items():
        cells = (f"{of[what]:>18,.1f}" if what in of else " " * 18 for what in columns)
        lines.append(f"{who:<{width}}" + "".join(cells))
    return "\n".join(lines)


def report(series: Series, goals: list[Goal], *, runs: int, as_json: bool) -> int:
    """Print medians and ratios; 1 if a goal was missed."""
    if as_json:
        told = {
            "runs": runs,
            "medians": series.medians(),
            "ratios": [
                {
                    "name": goal.name,
                    "ratio": round(goal.ratio, 3),
                    "at_most": goal.at_most,
                    "kept": goal.kept,
                }
                for goal in goals
            ],
        }
        print(json.dumps(told, indent=2))
    else:
        print(table(series))
        for goal in goals:
            word = "kept" if goal.kept else "MISSED"
            print(f"{word:>6}  {goal.ratio:5.2f} (at most {goal.at_most}): {goal.name}")
    return 0 if all(goal.kept for goal in goals) else 1
