"""What the audit counts, for a scrape."""

from collections.abc import Iterator, Mapping
from typing import Protocol, get_args

from nexa_node.contract.audit import Outcome
from nexa_node.core.exposition import Counter, Family, Sample
from nexa_node.core.instruments import OTHER, gauge

EVENTS = (
    "authn_login_success",
    "authn_login_fail",
    "authz_fail",
    "audit_gap",
)
"""Counted by name; every other event is a permission, and counted as `change`."""
CHANGE = "change"


class Written(Protocol):
    """What wrote the audit."""

    missed: int
    healthy: bool

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """Records by event and outcome."""
        ...


def families(audit: Written) -> Iterator[Family]:
    """Records by event and outcome, those that could not be written, and how it is."""
    counted = {
        (event, outcome): 0
        for event in (*EVENTS, CHANGE)
        for outcome in get_args(Outcome)
    }
    for (event, outcome), count in dict(audit.counts).items():
        known = event if event in EVENTS else CHANGE if ":" in event else OTHER
        counted[known, outcome] = counted.get((known, outcome), 0) + count
    yield Counter(
        "nexa_audit_events_total",
        "Records written to the audit.",
        tuple(
            Sample(count, {"event": event, "outcome": outcome})
            for (event, outcome), count in counted.items()
        ),
    )
    yield Counter(
        "nexa_audit_missed_total",
        "Events that could not be written to the audit.",
        (Sample(audit.missed),),
    )
    yield gauge(
        "nexa_audit_writable",
        "1 while the audit can be written; without it no change is taken.",
        float(audit.healthy),
    )
