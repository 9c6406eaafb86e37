"""Going on after nobody evaluated for a while: `for` neither begins anew nor is over at once.

As Prometheus does it after a restart (rules/manager.go, RestoreForState): the time in
which nobody looked proves nothing. What was left of `for` then is left now; and if that is
little, the alert is given for a while yet before it fires, since the first figures after
an outage are seldom those of a calm moment. Prometheus forgets what pended where `for` is
shorter than its grace; here it is given for all of `for` once more, which is the same.
"""

from dataclasses import replace
from datetime import datetime

from nexa_node.core.alerting.life import Active

GRACE_S = 600.0
"""How long an alert must be given at least after an outage before it fires, or all of its
`for` if that is shorter. Prometheus' `--rules.alert.for-grace-period` has the same default."""
BRIEF_S = 150.0
"""Somebody looked again so soon that it was no outage: a change of controllers. What is
stored of a pending alert is up to a minute old."""
FORGET_S = 3600.0
"""After so long it is another occurrence. As `--rules.alert.for-outage-tolerance`."""


def resumed(
    active: Active,
    *,
    for_s: float,
    interval_s: float,
    seen: datetime | float | None,
    now: float,
) -> Active | None:
    """Say what a new evaluator goes on from.

    Args:
        active: As the last evaluator left it.
        for_s: Of its rule, as it is today.
        interval_s: How often its rule is evaluated.
        seen: When its expression gave it last; None: not known, and taken for just now.
        now: The moment, seconds since 1970.

    Returns:
        The alert, pending since a moment that is moved by the outage; as it was if it
        does not pend or somebody looked all the time; None if it is to be forgotten.
    """
    if active.condition != "pending" or seen is None:
        return active
    last = seen.timestamp() if isinstance(seen, datetime) else seen
    outage = now - last
    if outage <= max(BRIEF_S, 2 * interval_s):
        return active
    if outage > FORGET_S:
        return None
    left = for_s - max(0.0, last - active.since)
    left = max(left, min(GRACE_S, for_s))
    return replace(active, since=now - for_s + left)
