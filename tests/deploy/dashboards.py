"""The dashboards in `deploy/grafana/`, and their questions as Grafana would ask them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
RATE_INTERVAL = "1m"
"""At least four scrapes."""
EVERYTHING = {"instance": ".*", "agent_type": ".*", "queue": ".*"}
"""What Grafana puts in for `All`, as `allValue` says."""


def boards() -> dict[str, Any]:
    """All of them, by the names of their files."""
    return {
        path.stem: msgspec.json.decode(path.read_bytes())
        for path in sorted(FOLDER.glob("*.json"))
    }


@dataclass(frozen=True)
class Asked:
    """One expression of one panel."""

    board: str
    panel: str
    unit: str
    text: str
    legend: str
    instant: bool

    @property
    def id(self) -> str:
        return f"{self.board}: {self.panel}"

    def expression(self, chosen: Mapping[str, str] = EVERYTHING) -> str:
        """As it is sent, with the variables' values put in."""
        text = self.text.replace("$__rate_interval", RATE_INTERVAL)
        return re.sub(r"\$(\w+)", lambda found: chosen[found[1]], text)


def panels(board: Any) -> Iterator[Any]:
    """Those of a dashboard that show something."""
    return (one for one in board["panels"] if one["type"] != "row")


def asked() -> list[Asked]:
    """Every expression of every panel, and of every annotation."""
    found: list[Asked] = []
    for name, board in boards().items():
        for one in panels(board):
            unit = one["fieldConfig"]["defaults"]["unit"]
            found += [
                Asked(name, one["title"], unit, target["expr"],
                      target.get("legendFormat", ""), target["instant"])
                for target in one["targets"]
            ]  # fmt: skip
        found += [
            Asked(name, each["name"], "", each["expr"], "", False)
            for each in board["annotations"]["list"]
            if "expr" in each
        ]
    return found
