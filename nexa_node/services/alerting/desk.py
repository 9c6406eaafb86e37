"""What operators ask of notifications: what was delivered, and whether a receiver works."""

from collections.abc import Mapping
from typing import Any

import structlog

from nexa_node.contract.errors import NexaError, NotFound
from nexa_node.contract.notifications import (
    Delivery,
    ReceiversTested,
    ReceiverTested,
    WatchdogSeen,
)
from nexa_node.contract.rest import Page
from nexa_node.core.alerting.fingerprint import fingerprint
from nexa_node.core.alerting.notifying.notices import Notice, Notification
from nexa_node.core.alerting.notifying.routes import label_set
from nexa_node.ports import AlertmanagerServer, Deliveries
from nexa_node.services.alerting.delivering import Around, Receiver
from nexa_node.services.alerting.watchdogs import Watchdogs
from nexa_node.services.api import DeliveryFilter

ENTRIES_MAX = 5000
"""Of the log, that are read to answer one question."""
ALERTMANAGER = "alertmanager"
"""The name under which an Alertmanager that notifies for us is tested."""
_PER_DELIVERY = 4

log: Any = structlog.get_logger("nexa_node.notifications")


class NotificationDesk:
    """Answers operators."""

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        cluster: Deliveries,
        local: Deliveries,
        around: Around,
        *,
        watchdogs: Watchdogs,
        alertmanager: AlertmanagerServer | None = None,
    ) -> None:
        """Read both logs.

        Args:
            receivers: Who can be tested.
            cluster: What was told of the cluster's alerts.
            local: What this node told by itself.
            around: Clock and name.
            watchdogs: Those that call us.
            alertmanager: One that notifies for us.
        """
        self._receivers = receivers
        self._cluster, self._local = cluster, local
        self._around = around
        self._watchdogs = watchdogs
        self._alertmanager = alertmanager

    async def deliveries(self, query: DeliveryFilter) -> Page[Delivery]:
        """Each notification as far as it has come, the newest first.

        Raises:
            Unavailable: The cluster's log can't be read; `local` needs nobody.
        """
        entries = await self._local.recent(limit=ENTRIES_MAX)
        if not query.local:
            most = min(ENTRIES_MAX, _PER_DELIVERY * query.limit + ENTRIES_MAX // 5)
            entries += await self._cluster.recent(limit=most)
        newest: dict[str, Delivery] = {}
        for entry in sorted(entries, key=lambda one: one.at):
            newest[entry.id] = entry
        found = sorted(newest.values(), key=_position, reverse=True)
        wanted = [
            one
            for one in found
            if (query.receiver is None or one.receiver == query.receiver)
            and (query.state is None or one.state == query.state)
            and (query.cursor is None or _position(one) < query.cursor)
        ]
        shown = tuple(wanted[: query.limit])
        more = len(wanted) > query.limit
        return Page(items=shown, next_cursor=_position(shown[-1]) if more else None)

    async def test(self, name: str) -> ReceiversTested:
        """Tell a receiver of an alert that is none; or each there is, without a name.

        Raises:
            NotFound: There is no such receiver.
        """
        names = [name] if name else sorted(self._receivers)
        if not name and self._alertmanager is not None:
            names.append(ALERTMANAGER)
        if not names:
            raise NotFound(
                "no receiver is set up", remedy="add a [[receiver]] to nexa.toml"
            )
        return ReceiversTested(items=tuple([await self._test(one) for one in names]))

    def watchdog(self, name: str) -> WatchdogSeen:
        """Somebody outside calls; NotFound if nobody expects it."""
        return self._watchdogs.call(name)

    async def _test(self, name: str) -> ReceiverTested:
        began = self._around.clock.monotonic()
        receiver = self._receivers.get(name)
        if receiver is not None:
            delivered, detail, kind = await self._send(receiver)
        elif name == ALERTMANAGER and self._alertmanager is not None:
            kind = ALERTMANAGER
            try:
                delivered, detail = True, await self._alertmanager.status()
            except NexaError as error:
                delivered, detail = False, error.message
        else:
            known = ", ".join(sorted(self._receivers)) or "none"
            raise NotFound(
                f"no receiver {name[:80]!r}; there are: {known}",
                remedy="add a [[receiver]] to nexa.toml",
            )
        took_ms = (self._around.clock.monotonic() - began) * 1000
        return ReceiverTested(
            receiver=name,
            kind=kind,
            delivered=delivered,
            detail=detail,
            took_ms=took_ms,
        )

    async def _send(self, receiver: Receiver) -> tuple[bool, str, str]:
        notices = self._notices(receiver.name)
        sent = await receiver.sender.send(self._notification(receiver, notices[0]))
        if sent.delivered and receiver.kind == "pagerduty":
            # Somebody was paged: the incident is no longer needed.
            await receiver.sender.send(self._notification(receiver, notices[1]))
        now = self._around.clock.now()
        entry = Delivery(
            id=self._id(receiver.name),
            receiver=receiver.name,
            kind=receiver.kind,
            reason="test",
            state="delivered" if sent.delivered else "failed",
            at=now,
            created=now,
            group="test",
            alerts=(notices[0].name,),
            firing=1,
            attempts=1,
            detail=sent.detail,
            node=self._around.node,
        )
        try:
            await self._local.note(entry)
        except NexaError as error:
            log.warning("test_unlogged", receiver=receiver.name, cause=error.message)
        return sent.delivered, sent.detail, receiver.kind

    def _notices(self, receiver: str) -> tuple[Notice, Notice]:
        now = self._around.clock.now()
        labels = {
            "alertname": "NexaTest",
            "node": self._around.node,
            "severity": "info",
        }
        begun = Notice(
            fingerprint=fingerprint(labels),
            labels=labels,
            annotations={
                "summary": f"A test of the receiver {receiver}: nothing is wrong."
            },
            severity="info",
            starts=now,
        )
        over = Notice(
            fingerprint=begun.fingerprint,
            labels=labels,
            annotations=begun.annotations,
            severity="info",
            starts=now,
            ends=now,
        )
        return begun, over

    def _notification(self, receiver: Receiver, notice: Notice) -> Notification:
        return Notification(
            id=self._id(receiver.name),
            receiver=receiver.name,
            reason="test",
            group=f"{{}}:{label_set(notice.labels)}",
            labels=notice.labels,
            notices=(notice,),
            external_url=self._around.external_url(),
            created=notice.starts,
        )

    def _id(self, receiver: str) -> str:
        moment = int(self._around.clock.now().timestamp() * 1000)
        return f"test-{receiver}-{self._around.node}-{moment}"


def _position(delivery: Delivery) -> str:
    return f"{delivery.created.isoformat(timespec='microseconds')}/{delivery.id}"
