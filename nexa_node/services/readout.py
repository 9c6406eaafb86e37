"""Reading every instrument of the node at once, for a scrape."""

from collections.abc import Callable

from nexa_node.contract.version import VERSION
from nexa_node.ports import StoreHealth
from nexa_node.services.access import Access
from nexa_node.services.condition import Condition
from nexa_node.services.directory import Directory
from nexa_node.services.feed import Feed
from nexa_node.services.journal import EventJournal
from nexa_node.services.parts import DispatchDesk, SelfTestDesk, SessionDesk
from nexa_node.services.permissions import Permissions
from nexa_node.services.readings import Readings, agents_by_state
from nexa_node.services.sampler import Sampler
from nexa_node.services.supervisor import Supervisor


class Readout:
    """Where each figure is kept."""

    def __init__(
        self,
        *,
        condition: Condition,
        directory: Directory,
        sampler: Sampler,
        store_health: Callable[[], StoreHealth],
        sessions: SessionDesk,
        dispatch: DispatchDesk,
        feed: Feed,
        access: Access,
        permissions: Permissions,
        journal: EventJournal,
        selftest: SelfTestDesk,
        supervisor: Supervisor,
    ) -> None:
        """Remember where to look."""
        self._condition = condition
        self._directory = directory
        self._sampler = sampler
        self._store_health = store_health
        self._sessions = sessions
        self._dispatch = dispatch
        self._feed = feed
        self._access = access
        self._permissions = permissions
        self._journal = journal
        self._selftest = selftest
        self._supervisor = supervisor

    def read(self) -> Readings:
        """Read all of them now."""
        card = self._condition.card
        return Readings(
            version=VERSION,
            node=card.name,
            cluster=card.cluster,
            started=card.started.timestamp(),
            health=self._condition.assess().health,
            store=self._store_health(),
            counts=self._directory.counts(),
            agents=agents_by_state(self._directory.all_agents()),
            connected=self._sessions.connected(),
            consoles=self._feed.subscribers,
            outcomes=self._sampler.outcomes,
            durations=self._sampler.durations,
            in_hand=self._dispatch.in_hand(),
            messages=self._sampler.messages,
            lags=self._sampler.lags,
            auth_failures=self._access.failures,
            auth_limited=self._access.limited,
            denied=self._permissions.denied,
            events_dropped=self._journal.dropped,
            crashes=self._supervisor.crashes,
            host=self._sampler.newest,
            selftest=self._selftest.latest(),
        )
