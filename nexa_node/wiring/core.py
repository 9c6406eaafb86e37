"""What agents and tasks need: sessions, custody, dispatch, messages, joined."""

import random
import secrets

from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract.frames import NodeRef
from nexa_node.core.strategies import of_queues
from nexa_node.services.access.access import Access
from nexa_node.services.access.logins import Logins
from nexa_node.services.access.roles import RoleBook
from nexa_node.services.calls import AgentCalls
from nexa_node.services.directory.directory import Directory
from nexa_node.services.means import Means
from nexa_node.services.messages.postoffice import PostOffice
from nexa_node.services.quotas import Quotas
from nexa_node.services.sessions.door import Door
from nexa_node.services.sessions.fences import Fences
from nexa_node.services.sessions.presence import Registry
from nexa_node.services.sessions.sessions import Sessions
from nexa_node.services.tasks.canary import Canary
from nexa_node.services.tasks.custody import Custody
from nexa_node.services.tasks.dead_letters import DeadLetters
from nexa_node.services.tasks.dispatch import Dispatch
from nexa_node.services.tasks.ledger import Ledger
from nexa_node.services.tasks.partials import PartialResults
from nexa_node.services.tasks.queues import Queues
from nexa_node.services.tasks.retirement import Retirement
from nexa_node.services.tasks.tasks import Tasks
from nexa_node.services.tasks.watches import Watches
from nexa_node.services.tasks.work import Work
from nexa_node.wiring.fellowship import Fellowship
from nexa_node.wiring.issuers import issuer_of
from nexa_node.wiring.place import Place


class Core:
    """What agents and tasks need: sessions, custody, dispatch, messages."""

    def __init__(self, place: Place, store: NatsStore, fellowship: Fellowship) -> None:
        """Join them; nothing runs yet."""
        settings, name = place.loaded.settings, place.identity.name
        rng, entropy = random.SystemRandom(), secrets.token_bytes
        self.clock = clock = fellowship.clock
        self.journal = fellowship.journal
        writable = fellowship.writable.check
        self.role_book = RoleBook(roles=store.roles, journal=self.journal)
        self.access = Access(
            tokens=store.tokens,
            clock=clock,
            journal=self.journal,
            entropy=entropy,
            rights=self.role_book.permissions,
        )
        self.directory = Directory(
            tasks=store.tasks,
            agents=store.agents,
            events=store.events,
            clock=clock,
            in_touch=lambda: store.health().connected and fellowship.has_quorum(),
        )
        self.retirement = Retirement(
            surplus=self.directory.surplus,
            records=store.tasks,
            queue=store.queue,
            clock=clock,
            policy=settings.retention,
        )
        self.ledger = Ledger(store.tasks, self.journal)
        self.watches = Watches(
            ledger=self.ledger, sight=self.directory, clock=clock, node=name
        )
        self.partials = PartialResults(
            store.partials, watches=self.watches, sight=self.directory, node=name
        )
        self.custody = Custody(
            ledger=self.ledger,
            sight=self.directory,
            clock=clock,
            node=name,
            policy=settings.leases,
            rng=rng,
        )
        self.dispatch = Dispatch(
            queue=store.queue,
            custody=self.custody,
            policy=settings.leases,
            rng=rng,
            strategy_of=of_queues(settings.queues),
        )
        self.tasks = Tasks(
            queue=store.queue,
            ledger=self.ledger,
            sight=self.directory,
            clock=clock,
            entropy=entropy,
            policy=settings.sessions,
            is_controller=fellowship.controller.is_controller,
        )
        means = Means(
            sight=self.directory,
            clock=clock,
            journal=self.journal,
            entropy=entropy,
            rng=rng,
            node=place.identity.id,
        )
        self.canary = Canary(
            queue=store.queue,
            dispatch=self.dispatch,
            signals=store.signals,
            means=means,
            policy=settings.canary,
        )
        self.dead_letters = DeadLetters(
            directory=self.directory,
            ledger=self.ledger,
            repairs=self.tasks.repairs,
            forget=self.retirement.forget,
            clock=clock,
            journal=self.journal,
            node=name,
        )
        self.queues = Queues(
            backlogs=self.directory.backlogs,
            sight=self.directory,
            clock=clock,
            policies=settings.queues,
        )
        self.post = PostOffice(
            store,
            means,
            sessions=settings.sessions,
            retention=settings.retention,
        )
        self.registry = Registry(
            store.agents,
            sight=self.directory,
            clock=clock,
            node=name,
            policy=settings.leases,
            tell=self.directory.observe_agent,
        )
        self.door = Door(
            records=store.sessions,
            inboxes=store.inboxes,
            authenticate=self.access.identify,
            entropy=entropy,
            node=place.identity.id,
            sight=self.directory,
            check_writable=writable,
        )
        self.sessions = Sessions(
            self.door,
            clock=clock,
            journal=self.journal,
            node=NodeRef(id=place.identity.id, name=name),
            urls=fellowship.agent_urls,
            policy=settings.sessions,
            leases=settings.leases,
        )
        self.fences = Fences(
            here=self.sessions,
            door=self.door,
            sight=self.directory,
            let_go=self.custody.let_go,
            again=self.registry.again,
            clock=clock,
            node=name,
        )
        self.logins = Logins(
            self.access,
            clock=clock,
            entropy=entropy,
            node=place.identity.id,
            cluster=lambda: fellowship.cluster_name,
            oidc=issuer_of(settings, clock),
        )
        self.door.proofs = self.logins
        self.quotas = Quotas(
            records=store.quotas, clock=clock, journal=self.journal, node=name
        )
        self._limit()
        self._join(rng, fellowship)

    def _limit(self) -> None:
        """Ask the quotas at every door, and before a task is given away."""
        quotas, directory = self.quotas, self.directory
        quotas.waiting = lambda name: sum(
            one.pending for one in directory.backlogs() if one.kind.namespace == name
        )
        quotas.connected = lambda name: sum(
            one.connected for one in directory.all_agents() if one.namespace == name
        )
        self.tasks.check_quota = quotas.check_submit
        self.post.messages.check_quota = quotas.check_send
        self.door.check_quota = quotas.check_join
        self.dispatch.mind(quotas)

    def _join(self, rng: random.Random, fellowship: Fellowship) -> None:
        """Let those hear of each other who must."""
        work = Work(
            self.custody, partials=self.partials.tell, clock=self.clock, rng=rng
        )
        self.ledger.on_spent(self.quotas.task_spent)
        self.sessions.serve(
            AgentCalls(
                tasks=self.tasks,
                work=work,
                dispatch=self.dispatch,
                post=self.post,
                sight=self.directory,
                watches=self.watches,
                check_writable=fellowship.writable.check,
            )
        )
        for audience in (self.registry, self.dispatch, self.watches, self.post):
            self.sessions.listen(audience)
        self.custody.on_count(self.registry.changed)
        self.ledger.on_stored(self.directory.observe)
        self.ledger.on_write(self.directory.note)
        self.role_book.on_changed(self.access.role_changed)
        self.access.on_ended(self.sessions.revoked)
        self.access.on_retired(self.sessions.retired)
        self.access.on_changed(self.sessions.changed)
        self.directory.subscribe(self.fences.told)

    async def save_events(self) -> None:
        """Store what was noted last."""
        await self.journal.save()
