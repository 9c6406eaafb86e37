"""Alerts with sane defaults, and the ports of notifications in memory."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from nexa_node.contract.alerts import Ack, Alert, Silence
from nexa_node.contract.errors import Conflict, Unavailable
from nexa_node.contract.notifications import Delivery
from nexa_node.core.alerting.fingerprint import fingerprint
from nexa_node.core.alerting.notifying.notices import Notice, Notification
from nexa_node.core.alerting.notifying.tracks import Track
from nexa_node.ports import Sent, Versioned
from nexa_node.services.alerting.delivering import Around
from tests.fakes import START, FakeClock, RecordingJournal

NOW = START
OK = Sent(True, "200 ok")
BUSY = Sent(False, "503 later", retry=True)
REFUSED = Sent(False, "400 no")


def alert(
    name: str = "NexaNodeDown", *, labels: dict[str, str] | None = None, **over: Any
) -> Alert:
    """One that fires since NOW."""
    worn = {"alertname": name, "severity": over.get("severity", "critical")}
    worn |= labels or {}
    fields: dict[str, Any] = {
        "fingerprint": fingerprint(worn),
        "name": name,
        "state": "firing",
        "severity": "critical",
        "labels": worn,
        "annotations": {"summary": f"{name} is wrong"},
        "since": NOW - timedelta(seconds=60),
        "fired": NOW,
        "value": 1.0,
    }
    return Alert(**{**fields, **over})


def ack(by: str = "anna", **over: Any) -> Ack:
    return Ack(**{"by": by, "at": NOW, **over})


def notice(name: str = "NexaNodeDown", **over: Any) -> Notice:
    labels = {"alertname": name, **over.pop("labels", {})}
    fields: dict[str, Any] = {
        "fingerprint": fingerprint(labels),
        "labels": labels,
        "annotations": {"summary": f"{name} is wrong"},
        "severity": "critical",
        "starts": NOW,
    }
    return Notice(**{**fields, **over})


def notification(*notices: Notice, **over: Any) -> Notification:
    fields: dict[str, Any] = {
        "id": "abc-1",
        "receiver": "ops",
        "reason": "firing",
        "group": '{}:{alertname="NexaNodeDown"}',
        "labels": {"alertname": "NexaNodeDown"},
        "notices": notices or (notice(),),
        "external_url": "http://nexa.example",
        "created": NOW,
    }
    return Notification(**{**fields, **over})


class MemoryDeliveries:
    """`ports.Deliveries` in memory."""

    def __init__(self) -> None:
        self.available = True
        self.records: dict[str, Versioned[Track]] = {}
        self.entries: list[Delivery] = []
        self._revision = 0

    async def tracks(self) -> list[Versioned[Track]]:
        self._check()
        return list(self.records.values())

    async def put(self, track: Track, *, revision: int) -> int:
        self._check()
        there = self.records.get(track.key)
        if (0 if there is None else there.revision) != revision:
            raise Conflict("somebody wrote first")
        self._revision += 1
        self.records[track.key] = Versioned(track, self._revision)
        return self._revision

    async def note(self, entry: Delivery) -> None:
        self._check()
        self.entries.append(entry)

    async def recent(self, *, limit: int) -> list[Delivery]:
        self._check()
        return self.entries[-limit:] if limit else []

    def states(self) -> list[str]:
        """Of the log, in its order."""
        return [entry.state for entry in self.entries]

    def _check(self) -> None:
        if not self.available:
            raise Unavailable("the store does not answer")


class RecordingSender:
    """`ports.Sender` that keeps what it was given and answers what it is told to."""

    def __init__(self, *answers: Sent) -> None:
        self.sent: list[Notification] = []
        self.answers = list(answers)
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, notification: Notification) -> Sent:
        self.sent.append(notification)
        await self.open.wait()
        return self.answers.pop(0) if self.answers else OK

    def told(self) -> list[tuple[str, list[str]]]:
        """Reason and the status of each alert."""
        return [
            (one.reason, [f"{each.name}:{each.status}" for each in one.notices])
            for one in self.sent
        ]


class MemoryAlertmanager:
    """`ports.AlertmanagerServer` in memory."""

    def __init__(self) -> None:
        self.available = True
        self.pushed: list[tuple[list[str], datetime]] = []
        self.kept: dict[str, Silence] = {}
        self.failures: tuple[str, ...] = ()

    async def push(self, alerts: Any, *, ends: datetime) -> tuple[str, ...]:
        self._check()
        self.pushed.append(([f"{one.name}:{one.state}" for one in alerts], ends))
        return self.failures

    async def silences(self) -> list[Silence]:
        self._check()
        return list(self.kept.values())

    async def put_silence(self, silence: Silence) -> str:
        import msgspec

        self._check()
        made = silence.id or f"s{len(self.kept) + 1}"
        self.kept[made] = msgspec.structs.replace(silence, id=made)
        return made

    async def expire(self, silence_id: str) -> None:
        self._check()
        self.kept.pop(silence_id, None)

    async def status(self) -> str:
        self._check()
        return "Alertmanager 0.25.0, cluster ready of 1"

    def _check(self) -> None:
        if not self.available:
            raise Unavailable("no Alertmanager answers")


def around(
    clock: FakeClock, journal: RecordingJournal | None = None, node: str = "alpha"
) -> Around:
    return Around(
        clock=clock,
        journal=journal or RecordingJournal(),
        rng=random.Random(1),
        node=node,
        external_url=lambda: "http://nexa.example",
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
