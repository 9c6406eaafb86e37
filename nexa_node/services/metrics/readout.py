"""Reading every instrument of the node at once, for a scrape."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nexa_node.contract.version import VERSION
from nexa_node.ports import StoreHealth
from nexa_node.services.access.access import Access
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.directory.directory import Directory
from nexa_node.services.health.condition import Condition
from nexa_node.services.health.sampler import Sampler
from nexa_node.services.health.supervisor import Supervisor
from nexa_node.services.journal.journal import EventJournal
from nexa_node.services.metrics.readings import Readings
from nexa_node.services.parts import SelfTestDesk
from nexa_node.services.tasks.canary import CanaryFigures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readout:
    """Where each figure is kept."""

    condition: Condition
    directory: Directory
    sampler: Sampler
    store_health: Callable[[], StoreHealth]
    access: Access
    permissions: Permissions
    journal: EventJournal
    selftest: SelfTestDesk
    supervisor: Supervisor
    canary: CanaryFigures
    refused: Mapping[str, int]
    """Connections refused, by limit; counted on."""
    over_quota: Mapping[str, int]
    """Calls over a limit of their namespace, by limit; counted on."""
    paced: Callable[[], int] = lambda: 0
    """Messages refused since their sender was too fast."""

    def read(self) -> Readings:
        """Read all of them now."""
        card = self.condition.card
        return Readings(
            version=VERSION,
            node=card.name,
            cluster=card.cluster,
            started=card.started.timestamp(),
            health=self.condition.assess().health,
            store=self.store_health(),
            counts=self.directory.counts(),
            lags=self.sampler.lags,
            auth_failures=self.access.failures,
            auth_limited=self.access.limited,
            denied=self.permissions.denied,
            paced=self.paced(),
            over_quota=dict(self.over_quota),
            events_dropped=self.journal.dropped,
            events_thinned=self.journal.thinned,
            canaries={"passed": self.canary.passed, "lost": self.canary.lost},
            canary_s=self.canary.latest_s,
            refused=dict(self.refused),
            crashes=self.supervisor.crashes,
            host=self.sampler.newest,
            selftest=self.selftest.latest(),
        )
