"""Metrics, put together: what counts, what is read, who records and who answers."""

import asyncio
import secrets
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import get_args

from cryptography.x509 import Certificate

from nexa_node.adapters.files.history import HistoryInFile
from nexa_node.adapters.files.logs import COUNTS
from nexa_node.adapters.host.measure import PsutilMeasure
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.adapters.tls.folder import TlsFolder
from nexa_node.contract.alerts import SEVERITIES, Alert, AlertState
from nexa_node.contract.errors import NexaError
from nexa_node.contract.version import VERSION
from nexa_node.core.exposition import Buckets, Counter, Family, Histogram, Sample
from nexa_node.core.instruments import Instruments, gauge
from nexa_node.services.alerting.evaluating import BOUNDS, Figures
from nexa_node.services.journal.feed import Feed
from nexa_node.services.metrics import gauges
from nexa_node.services.metrics.meters import (
    AgentMeter,
    ConnectionMeter,
    MessageMeter,
    RttMeter,
    SelfTestMeter,
    TaskMeter,
)
from nexa_node.services.metrics.prometheus import Prometheus
from nexa_node.services.metrics.readings import Readings, families
from nexa_node.services.metrics.recorder import Fellows, Recorder
from nexa_node.wiring.core import Core
from nexa_node.wiring.encryption import of_handshakes, port_ends
from nexa_node.wiring.fellowship import Fellowship
from nexa_node.wiring.place import Place

RTT_EVERY_S = 10.0
CERTIFICATES_EVERY_S = 300.0
Loop = Callable[[], Awaitable[None]]
Read = Callable[[], tuple[Family, ...]]


class Metering:
    """Joined once what it listens to is there; its loops run with the supervisor."""

    def __init__(
        self,
        place: Place,
        store: NatsStore,
        fellowship: Fellowship,
        core: Core,
        *,
        feed: Feed,
    ) -> None:
        """Listen to all parts; nothing is read before the first scrape or tick."""
        self._place, self._store, self._core = place, store, core
        self._fellowship, self._feed = fellowship, feed
        self._name = place.identity.name
        self._clock = core.clock
        self.instruments = Instruments()
        self.instruments.on_capped(self._capped)
        self.selftests = SelfTestMeter(self.instruments)
        self._rtt = RttMeter(self.instruments)
        self.recorder = Recorder(
            node=self._name,
            run=secrets.token_hex(8),
            read=self.families,
            fellows=Fellows(
                ticks=store.ticks,
                calls=store.calls,
                members=self._members,
                living=fellowship.members.living,
            ),
            file=HistoryInFile(place.folder.path),
            clock=core.clock,
            journal=core.journal,
        )
        self.prometheus = Prometheus(
            self.recorder, families=self.families, clock=core.clock
        )
        self._certificates_due = 0.0
        self._certificates_seen: Mapping[str, datetime] = {}
        self._listen()
        self._read()

    @property
    def loops(self) -> tuple[tuple[str, Loop], ...]:
        """What runs on every node, besides the recorder."""
        return (("store-rtt", self._ping), ("host-figures", self._host.run))

    def include(self, read: Callable[[], Readings]) -> None:
        """Tell what the node's own services count, too."""
        self.instruments.read(lambda: families(read()))

    def also(self, read: Callable[[], Iterable[Family]]) -> None:
        """Tell what `read` gives at each scrape, too: how a part adds its own."""
        self.instruments.read(read)

    def families(self) -> tuple[Family, ...]:
        """Everything a scrape tells."""
        return self.instruments.families()

    # -- joining -----------------------------------------------------------------

    def _listen(self) -> None:
        core, made, clock = self._core, self.instruments, self._clock
        connections, agents = ConnectionMeter(made), AgentMeter(made)
        core.sessions.measure(connections)
        core.sessions.listen(agents)
        self._feed.on_opened(connections.console_opened)
        self._feed.on_closed(connections.console_closed)
        messages = MessageMeter(made, clock)
        core.post.messages.on_taken(messages.taken)
        core.post.messages.on_refused(messages.refused)
        core.post.delivery.on_told(messages.told)
        core.post.delivery.on_missed(messages.missed)
        core.post.inbox.on_given_up(messages.given_up)
        tasks = TaskMeter(made, clock, messages.task_given_up)
        core.ledger.on_write(tasks.written)
        core.ledger.on_spent(tasks.spent)

    def _read(self) -> None:
        core, made, settings = self._core, self.instruments, self._place.loaded.settings
        cluster = gauges.ClusterReader(
            shape=self._store.cluster.shape,
            members=self._fellowship.members.view,
            suspicion=self._fellowship.members.suspicion,
            quorum=self._fellowship.has_quorum,
            offset_s=lambda: self.recorder.clock_offset_s,
            instruments=made,
        )
        self._host = gauges.HostReader(
            PsutilMeasure(self._place.folder.path), self._clock
        )
        certificates = gauges.Certificates(self._certificates)
        made.read(self._identity)
        made.read(
            lambda: gauges.of_agents(
                core.directory.all_agents, core.sessions.everybody, self._clock
            )
        )
        made.read(
            lambda: gauges.of_connections(
                core.sessions.connected,
                lambda: self._feed.subscribers,
                settings.sessions.connections,
            )
        )
        made.read(
            lambda: gauges.of_queues(core.queues.queues, lambda: core.custody.claims)
        )
        made.read(cluster.read)
        made.read(lambda: gauges.of_store(self._store.figures))
        made.read(self._host.read)
        made.read(certificates.read)
        made.read(lambda: gauges.of_budgets(core.quotas.views()))
        made.read(lambda: of_handshakes(self._place))
        made.read(
            lambda: gauges.of_itself(self.recorder.series, len(asyncio.all_tasks()))
        )
        made.read(lambda: gauges.of_logs(COUNTS.records, COUNTS.unwritten))

    def _identity(self) -> tuple[Family, ...]:
        role = "controller" if self._fellowship.controller.is_controller() else "node"
        return (
            gauges.build_info(VERSION, revision=""),
            gauges.node_info(self._name, self._fellowship.cluster_name, role, ""),
        )

    def _members(self) -> tuple[str, ...]:
        return tuple(node.name for node in self._fellowship.members.view())

    def _certificates(self) -> Mapping[str, datetime]:
        """Read again now and then: files, and not for each scrape."""
        now = self._clock.monotonic()
        if now >= self._certificates_due:
            self._certificates_due = now + CERTIFICATES_EVERY_S
            self._certificates_seen = self._read_certificates()
        return self._certificates_seen

    def _read_certificates(self) -> Mapping[str, datetime]:
        folder = TlsFolder(self._place.folder.path / "tls")
        found: dict[str, Certificate | None] = {}
        try:
            found["node"] = folder.own()
            for purpose in ("nodes", "clients"):
                for at, one in enumerate(folder.authorities(purpose)):
                    found[f"{purpose}-ca{at or ''}"] = one
        except NexaError:
            pass  # what is wrong there is told by the self-test
        ends = {
            name: one.not_valid_after_utc
            for name, one in found.items()
            if one is not None
        }
        return {**ends, **port_ends(self._place)}

    def _capped(self, name: str) -> None:
        self._core.journal.record(
            "metrics.capped",
            subject=f"node/{self._name}",
            message=f"{name} has too many series: what is new is counted under other",
            severity="warning",
            data={"metric": name},
        )

    async def _ping(self) -> None:
        while True:
            await self._clock.sleep(RTT_EVERY_S)
            took_ms = await self._store.beats.ping(self._name, timeout_s=1.0)
            if took_ms is not None:
                self._rtt.took(took_ms)


def of_alerting(
    figures: Figures, alerts: Callable[[], Iterable[Alert]]
) -> Callable[[], Iterable[Family]]:
    """How evaluating goes, and what is on the board."""

    def read() -> Iterator[Family]:
        for name, text, counts in (
            ("evaluations", "Rules evaluated", figures.evaluations),
            ("evaluation_failures", "Rules that failed", figures.failures),
        ):
            yield Counter(
                f"nexa_alert_rule_{name}_total",
                f"{text}, by their group.",
                tuple(Sample(n, {"group": group}) for group, n in counts.items()),
            )
        yield Histogram(
            "nexa_alert_rule_evaluation_duration_seconds",
            "How long evaluating a group of rules took.",
            (Buckets(BOUNDS, tuple(figures.buckets), figures.total_s),),
        )
        counted = Tally(
            {(one, state): 0 for one in SEVERITIES for state in get_args(AlertState)}
        )
        counted.update((alert.severity, alert.state) for alert in alerts())
        yield gauge(
            "nexa_alerts",
            "Alerts on the board.",
            dict(counted),
            ("severity", "state"),
        )

    return read
