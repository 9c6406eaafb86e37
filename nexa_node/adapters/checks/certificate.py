"""How long the port's certificate is good for yet, and who renews it."""

from datetime import datetime

from nexa_node.core.certificates import Life
from nexa_node.services.health.self_test import Outcome

_SHOWN = 4
"""Names told of one with many."""


def look(
    life: Life,
    *,
    subject: str,
    names: tuple[str, ...],
    is_own: bool,
    now: datetime,
    warn_days: int,
) -> Outcome:
    """Judge it: over fails, soon over warns.

    Args:
        life: From when until when.
        subject: Whom it names.
        names: What it is for.
        is_own: The operator brought it, so nobody else renews it.
        now: Aware.
        warn_days: Warn of one of the operator's own so many days before it ends; one of
            the cluster's once its renewal is overdue.
    """
    days = life.remaining(now).days
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    told = f"{subject}, for {', '.join(names[:_SHOWN])}{more}"
    detail = f"{days} days left, until {life.ends:%Y-%m-%d}; {told}"
    mend = (
        "put a new one at [tls] cert_file and key_file: it is taken within a second"
        if is_own
        else "nexa events --kind certificate. says why it was not renewed; nexa node"
        " restart tries again"
    )
    if not life.is_valid(now):
        cause = (
            "it is over" if now > life.ends else "it is not valid yet: see the clock"
        )
        return Outcome("fail", detail=detail, cause=cause, remedy=mend)
    if days < warn_days if is_own else life.is_overdue(now):
        return Outcome("warn", detail=detail, cause="it ends soon", remedy=mend)
    renewed = "" if is_own else f"; renewed on {life.renewal:%Y-%m-%d}"
    return Outcome("pass", detail=detail + renewed)
