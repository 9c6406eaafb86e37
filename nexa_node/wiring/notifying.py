"""Notifications, put together: who hears of alerts, in which of the three modes."""

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence

from nexa_node.adapters.files.deliveries import FileDeliveries
from nexa_node.contract.alerts import Alert
from nexa_node.core.alerting.notifying.routes import routes_of
from nexa_node.core.exposition import Family
from nexa_node.ports import Deliveries
from nexa_node.services.alerting.delivering import Around, Counts, Outbox, Receiver
from nexa_node.services.alerting.desk import NotificationDesk
from nexa_node.services.alerting.figures import NotificationFigures, families
from nexa_node.services.alerting.mirroring import Mirror, MirroredSilences
from nexa_node.services.alerting.notifying import Escalated, Notifier, Told
from nexa_node.services.alerting.watchdogs import Heartbeat, Watchdogs
from nexa_node.wiring.fellowship import Fellowship
from nexa_node.wiring.outgoing import Outgoing
from nexa_node.wiring.place import Place
from nexa_node.wiring.receivers import (
    alertmanager_of,
    foreign_rules_of,
    heart_of,
    receiver_of,
)

Loop = Callable[[], Awaitable[None]]
FILE = "notifications.json"
"""In the node's folder: what it told by itself."""


class _Everybody:
    """Tells several of the same."""

    def __init__(self, *hear: Told) -> None:
        self._hear = hear

    async def told(self, alerts: Sequence[Alert]) -> None:
        """Take in all alerts there are."""
        for one in self._hear:
            await one.told(alerts)


class Notifications:
    """All of it; its loops run once they are added to the supervisor."""

    def __init__(
        self, place: Place, fellowship: Fellowship, deliveries: Deliveries
    ) -> None:
        """Join the parts; nothing runs yet.

        Args:
            place: The settings, and the node's folder.
            fellowship: Who is the controller.
            deliveries: The cluster's.
        """
        settings = place.loaded.settings
        self._policy = policy = settings.alerting
        self._name = place.identity.name
        self._outgoing = Outgoing()
        self._counts = Counts()
        self._is_controller = fellowship.controller.is_controller
        self._around = Around(
            clock=fellowship.clock,
            journal=fellowship.journal,
            rng=random.SystemRandom(),
            node=self._name,
            external_url=lambda: policy.external_url or place.url,
        )
        self.loops: list[tuple[str, Loop]] = [("outgoing", self._outgoing.run)]
        self._receivers = [
            receiver_of(one, self._outgoing) for one in settings.receivers
        ]
        self._settings = settings
        self._outboxes: list[Outbox] = []
        self._notifiers: list[Notifier] = []
        own = FileDeliveries(place.folder.path / FILE)
        server = alertmanager_of(policy, self._outgoing)
        self.external = foreign_rules_of(policy, self._outgoing)
        self.silences: MirroredSilences | None = None
        if server is not None:
            if policy.mode == "alertmanager":
                self.silences = MirroredSilences(server, self._around)
                self.loops.append(("alertmanager-silences", self.silences.run))
            pushes = policy.mode == "alertmanager"
            mirrors = [
                Mirror(
                    server,
                    self._around,
                    self._counts,
                    scope=scope,
                    is_ours=ours,
                    pushes=pushes,
                )
                for scope, ours in (
                    ("cluster", self._is_controller),
                    (f"node/{self._name}", _always),
                )
            ]
            hear: list[Told] = [*mirrors]
            self.loops += [
                ("alertmanager", mirrors[0].run),
                ("alertmanager-local", mirrors[1].run),
            ]
        else:
            hear = [
                self._notifier(deliveries, self._is_controller, below=""),
                self._notifier(own, _always, below=f'/{{nexa_node="{self._name}"}}'),
            ]
        self.heartbeat = self._heartbeat()
        self.cluster: Told = (
            hear[0] if self.heartbeat is None else _Everybody(hear[0], self.heartbeat)
        )
        """Told of the cluster's alerts, on the controller."""
        self.local: Told = hear[1]
        """Told of this node's own alerts."""
        self.watchdogs = Watchdogs(
            [one.name for one in settings.watchdogs], fellowship.clock
        )
        self.desk = NotificationDesk(
            {one.name: one for one in self._receivers},
            deliveries,
            own,
            self._around,
            watchdogs=self.watchdogs,
            alertmanager=server,
        )

    def on_escalated(self, tell: Escalated) -> None:
        """Have `tell` called with the fingerprint of an alert that was escalated."""
        for notifier in self._notifiers:
            notifier.on_escalated(tell)

    def families(self) -> Iterable[Family]:
        """What is scraped of all this."""
        waiting = [one.waiting() for one in self._outboxes]
        figures = NotificationFigures(
            attempts=dict(self._counts.by),
            waiting=sum(count for count, _ in waiting),
            oldest_s=max((age for _, age in waiting), default=0.0),
            heartbeat=None if self.heartbeat is None else self.heartbeat.delivered,
            watchdogs=self.watchdogs.seen(),
        )
        return families(figures)

    def _notifier(
        self, deliveries: Deliveries, is_ours: Callable[[], bool], *, below: str
    ) -> Notifier:
        receivers: list[Receiver] = self._receivers
        outbox = Outbox(
            {one.name: one for one in receivers},
            deliveries,
            self._around,
            self._counts,
        )
        notifier = Notifier(
            routes_of(
                self._settings.routes, [one.name for one in receivers], below=below
            ),
            outbox,
            receivers,
            around=self._around,
            is_ours=is_ours,
            runbooks=self._policy.runbook_base_url,
        )
        self._outboxes.append(outbox)
        self._notifiers.append(notifier)
        if receivers:
            name = "local-notifications" if below else "notifications"
            self.loops.append((name, notifier.run))
        return notifier

    def _heartbeat(self) -> Heartbeat | None:
        heart = heart_of(self._policy, self._outgoing)
        if heart is None:
            return None
        made = Heartbeat(
            heart,
            self._around,
            self._counts,
            every_s=self._policy.heartbeat_every_ms / 1000,
            is_ours=self._is_controller,
        )
        self.loops.append(("heartbeat", made.run))
        return made


def _always() -> bool:
    return True
