"""What an agent says of itself in hello, and what it must know to resume."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from nexa_node.agent.inbox import Inbox
from nexa_node.contract.agents import Capability
from nexa_node.contract.frames import AgentInfo, Gap, Hello, Resume, Welcome
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.version import PROTOCOL

CREDIT_FEATURE = "credits"
"""Named by both sides: the agent grants credits, and gets no task without one."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Who the agent is and what it can do: the same in every hello."""

    id: AgentId
    incarnation: str
    """A time-ordered id, new with each process: the later one is the newer."""
    capabilities: tuple[Capability, ...]
    slots: int
    name: str | None = None
    version: str | None = None
    namespace: Namespace | None = None


class Session:
    """One session, over as many connections as it takes."""

    def __init__(self, profile: Profile, inbox: Inbox) -> None:
        """Begin without one."""
        self.profile = profile
        self.inbox = inbox
        self.features: tuple[str, ...] = ()
        self._resume: tuple[str, str] | None = None
        self._ahead = timedelta()

    def hello(self) -> Hello:
        """The first request of a connection: resumes when there is a session."""
        profile = self.profile
        return Hello(
            protocol=PROTOCOL,
            agent=AgentInfo(
                id=profile.id,
                name=profile.name,
                version=profile.version,
                incarnation=profile.incarnation,
            ),
            namespace=profile.namespace,
            capabilities=profile.capabilities,
            slots=profile.slots,
            features=(CREDIT_FEATURE,),
            resume=self._resuming(),
        )

    def welcomed(self, welcome: Welcome, *, now: datetime) -> Gap | None:
        """Keep what the node answered; what it says is gone is returned."""
        self._resume = (welcome.session, welcome.resume_token)
        self._ahead = welcome.server_time - now if _aware(welcome) else timedelta()
        self.features = welcome.features
        known = welcome.epoch == self.inbox.epoch
        self.inbox.enter(welcome.epoch, welcome.next_seq)
        if welcome.gap is not None and known:
            self.inbox.skip(welcome.gap.last)
        return welcome.gap

    def until(self, moment: datetime | None, *, now: datetime) -> timedelta | None:
        """How long until `moment` by the node's clock; None if there is none."""
        if moment is None or moment.tzinfo is None:
            return None
        return moment - (now + self._ahead)

    @property
    def credits(self) -> bool:
        """Whether the node waits for credits."""
        return CREDIT_FEATURE in self.features

    def _resuming(self) -> Resume | None:
        if self._resume is None:
            return None
        session, token = self._resume
        return Resume(
            session=session,
            token=token,
            epoch=self.inbox.epoch or "",
            last_seq=self.inbox.last_seq,
        )


def _aware(welcome: Welcome) -> bool:
    return welcome.server_time.tzinfo is not None
