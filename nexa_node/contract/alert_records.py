"""An alert as nodes keep it for each other: what is shown, and what its life goes on from."""

from datetime import datetime

import msgspec

from nexa_node.contract.alerts import Alert


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that another node needs to go on with an alert where the last one stopped."""

    alert: Alert
    rule: str
    """Whose it is: `<group>/<alert>`, and `#2` behind the second of that name."""
    expression: str = ""
    """Of the rule, as it was evaluated last."""
    node: str = ""
    """The node whose own rules it is of; empty: the cluster's."""
    clear_since: datetime | None = None
    """Of a recovering one: since when its expression does not give it any more."""
    seen: datetime | None = None
    """Of a pending one: when its expression gave it last, to a minute. By it the next
    evaluator knows for how long nobody looked."""
    flips: tuple[datetime, ...] = ()
    """When it went on or off in the last half hour, the oldest first."""
    ack_after_s: float | None = None
    """How long it may fire unacknowledged before it is escalated; None: for ever."""
    silenced_while: bool = False
    """It was silenced or inhibited all the time that it fired: nobody had to see it."""
