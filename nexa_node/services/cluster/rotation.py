"""New authorities and a new password for the routes, while everything runs.

One node makes the new authorities and asks all members, itself included, for one step
after the other: to trust the new ones besides, to have them sign, to forget the old ones,
to take the new password. A step begins when all have done the one before, so at each
moment each two of them trust each other. What breaks off half-way is begun anew by the
same command: every step may be done again.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from nexa_node.contract.errors import Conflict, Invalid, NexaError, Unavailable
from nexa_node.ports import Clock, NodeCalls
from nexa_node.services.api import Journal

ROTATE = "rotate"
TIMEOUT_S = 15.0
"""For one member to do one step, and then for all to be heard."""
HEARD_S = 2.5
"""All are heard for so long: the routes are there again."""
LOOK_S = 0.1

Step = Literal["trust", "promote", "retire", "password"]
STEPS: tuple[Step, ...] = ("trust", "promote", "retire", "password")


class Successor(msgspec.Struct, frozen=True, kw_only=True):
    """An authority that is to take over; a secret."""

    purpose: Literal["nodes", "clients"]
    certificate: str
    """PEM."""
    key: str
    """PEM."""

    def __repr__(self) -> str:
        """Tell of what, never the key."""
        return f"Successor(purpose={self.purpose!r})"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a member is asked to do."""

    step: Step
    successors: tuple[Successor, ...] = ()
    password: str = ""

    def __repr__(self) -> str:
        """Tell of what, never the secrets."""
        return f"Asked(step={self.step!r})"


class Trust(Protocol):
    """This node's part: its `tls/` folder, its place, its store's routes."""

    async def successors(self) -> Sequence[Successor]:
        """Make new authorities; nobody trusts them yet."""
        ...

    async def password(self) -> str:
        """Draw a new password."""
        ...

    async def take(self, asked: Asked) -> None:
        """Do a step, durably, and have the store use it soon, after this was answered.

        Raises:
            NexaError: It can't be done; again is safe.
        """
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Rotation:
    """Has all members change their trust, step by step."""

    trust: Trust
    calls: NodeCalls
    node: str
    """This node's name."""
    members: Callable[[], Collection[str]]
    """Names of all members on record, this node included."""
    living: Callable[[], Collection[str]]
    whole: Callable[[], bool]
    """Whether every member's store is heard, from memory."""
    clock: Clock
    journal: Journal
    _busy: bool = field(default=False, init=False)

    def serve(self) -> None:
        """Answer other nodes from now on."""
        self.calls.serve(self.node, ROTATE, self._told)

    async def rotate(self, *, by: str) -> None:
        """Change it everywhere.

        Raises:
            Conflict: A member is not there, who would be shut out; or it is under way.
            Unavailable: A member did not answer; the same again is safe.
        """
        names = sorted(self.members())
        missing = sorted(set(names) - set(self.living()))
        if missing:
            raise Conflict(
                f"{', '.join(missing)} would be shut out by new keys: not heard now",
                remedy="start it first; or, if it is gone for good: nexa cluster remove",
            )
        if self._busy:
            raise Conflict("the keys are being changed already", remedy="wait for it")
        self._busy = True
        try:
            await self._all_steps(names)
        except* NexaError as failed:
            raise _first(failed) from None
        finally:
            self._busy = False
        self.journal.record(
            "trust.rotated",
            subject=f"node/{self.node}",
            message=f"{len(names)} nodes have new authorities and a new password: {by}",
            severity="warning",
            data={"nodes": names},
        )

    async def _all_steps(self, names: Sequence[str]) -> None:
        successors = tuple(await self.trust.successors())
        password = await self.trust.password()
        for step in STEPS:
            asked = Asked(
                step=step,
                successors=successors if step == "trust" else (),
                password=password if step == "password" else "",
            )
            await self._everywhere(names, asked)

    async def _everywhere(self, names: Sequence[str], asked: Asked) -> None:
        """Have one after the other do it: each is without routes for a moment.

        But for the password: routes have one only, so it changes everywhere at once.
        """
        payload = msgspec.json.encode(asked)
        if asked.step == "password":
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(self._at(name, asked, payload))
            await self._settle("the last one")
            return
        for name in names:
            await self._at(name, asked, payload)
            await self._settle(name)

    async def _settle(self, name: str) -> None:
        """Wait until all are heard for a while, after one had its routes made anew.

        Raises:
            Unavailable: They are not.
        """
        now = self.clock.monotonic()
        end, since = now + TIMEOUT_S, now
        while now < since + HEARD_S:
            if now > end:
                raise Unavailable(
                    f"not all nodes are heard after {name} changed its keys",
                    remedy="nexa cluster status; then nexa cluster rotate again",
                )
            await self.clock.sleep(LOOK_S)
            now = self.clock.monotonic()
            if not self.whole():
                since = now

    async def _at(self, name: str, asked: Asked, payload: bytes) -> None:
        try:
            if name == self.node:
                await self.trust.take(asked)
            else:
                await self.calls.ask(name, ROTATE, payload, timeout_s=TIMEOUT_S)
        except NexaError as error:
            raise Unavailable(
                f"{name} did not do its part ({asked.step}): {error.message}",
                remedy="nexa cluster status; then nexa cluster rotate again",
            ) from error

    async def _told(self, payload: bytes) -> bytes:
        try:
            asked = msgspec.json.decode(payload, type=Asked)
        except msgspec.MsgspecError:
            raise Invalid("a node asked for new keys in words unknown") from None
        await self.trust.take(asked)
        return b""


def _first(group: BaseExceptionGroup[NexaError]) -> NexaError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
