"""Who is alive: each node's own look at the others, and what a majority makes of it.

A machine without a clock. A member that is not heard is suspected first; it is dead only
when a majority of all members on record say that they do not hear it either. So of a
cluster that is torn in two at most one side takes the other for dead, and a node that
hears too few suspects itself.
"""

from collections.abc import Iterator

from nexa_node.contract.cluster import Beat
from nexa_node.contract.nodes import Health, Opinion, Suspicion
from nexa_node.core.member import (
    FLAP_WINDOW_S,
    FLAPS_MAX,
    Kind,
    Member,
    MemberEvent,
)
from nexa_node.core.opinions import Disagreement, disagreements
from nexa_node.core.policies import ClusterPolicy

STRANGERS_MAX = 100
"""More are not told."""


class Membership:
    """All other nodes of a cluster, seen from one."""

    def __init__(
        self,
        *,
        name: str,
        node_id: str,
        incarnation: str,
        policy: ClusterPolicy,
        has_referee: bool = False,
    ) -> None:
        """Know nobody yet.

        Args:
            name: This node's.
            node_id: Its lasting id.
            incarnation: Of this run of it.
            policy: When silence is suspicious, and when deadly.
            has_referee: Who may write is decided by an attached store that no member is
                a part of; then silence is judged by each node for itself.
        """
        self._has_referee = has_referee
        self._name = name
        self._id = node_id
        self._incarnation = incarnation
        self._beat_s = policy.beat_ms / 1000
        self._suspect_s = policy.suspect_ms / 1000
        self._dead_s = policy.dead_ms / 1000
        self._members: dict[str, Member] = {}
        self._gone: set[str] = set()
        self._events: list[MemberEvent] = []
        self._strangers: set[tuple[str, str]] = set()
        self._ticked: float | None = None
        self._cut_off = False
        self._differ: dict[str, tuple[float, bool]] = {}
        self._differ_told: dict[str, float] = {}

    # -- what is known ---------------------------------------------------------

    @property
    def members(self) -> tuple[Member, ...]:
        """All other nodes, by name."""
        return tuple(self._members[name] for name in sorted(self._members))

    @property
    def majority(self) -> int:
        """How many members must agree, this node included."""
        if self._has_referee:
            return 1
        return (1 + sum(each.recorded for each in self._members.values())) // 2 + 1

    @property
    def is_cut_off(self) -> bool:
        """Whether this node hears too few to be sure that it isn't the lost one."""
        return self._cut_off

    def suspicion(self, name: str) -> Suspicion | None:
        """What is thought of a node; None of one that is unknown."""
        if name == self._name:
            return "suspect" if self._cut_off else "alive"
        member = self._members.get(name)
        return None if member is None else member.suspicion

    def living(self) -> frozenset[str]:
        """All that are not known to be dead or gone, this node included."""
        return frozenset(
            (
                self._name,
                *(m.name for m in self.members if m.suspicion in ("alive", "suspect")),
            )
        )

    def has_namesake(self, node_id: str) -> bool:
        """Whether another node was heard under this one's name."""
        return (self._name, node_id) in self._strangers

    def opinions(self, now: float) -> tuple[Opinion, ...]:
        """What this node thinks of all others; of itself only if it is cut off."""
        found = [self._opinion(member, now) for member in self.members]
        if self._cut_off:
            told = self._cut_off_reason(now)
            mine = Opinion(
                by=self._name, of=self._name, suspicion="suspect", reason=told
            )
            found.append(mine)
        return tuple(found)

    def all_opinions(self, now: float) -> tuple[Opinion, ...]:
        """Ours, and those of every node that is heard now."""
        told = [
            opinion
            for member in self._heard(now)
            if member.beat is not None
            for opinion in member.beat.opinions
            if opinion.by == member.name
        ]
        return (*self.opinions(now), *told)

    def disagreements(self, now: float) -> tuple[Disagreement, ...]:
        """Who is heard by some and not by others, for longer than a suspicion takes."""
        return tuple(
            one
            for one in disagreements(self.all_opinions(now))
            if now - self._differ.get(one.of, (now, False))[0] >= self._suspect_s
        )

    def health(self, name: str, now: float) -> tuple[Health, tuple[str, ...]]:
        """How another node is, with reasons: by its own words while it is heard."""
        member = self._members.get(name)
        if member is None:
            return "unknown", (f"no node {name} is known here",)
        if member.suspicion == "left":
            return "unknown", ("it was stopped in order",)
        if member.suspicion == "dead":
            since = now - (member.dead_since or now)
            return "unhealthy", (f"dead for {since:.0f} s: {member.reason}",)
        if member.beat is None:
            return "unknown", (
                f"not heard for the {member.silence(now):.0f} s we know it",
            )
        if member.suspicion == "suspect":
            return "degraded", (self._silent(member, now),)
        return member.beat.health, member.beat.reasons

    # -- what happens ----------------------------------------------------------

    def expect(self, name: str, node_id: str, now: float, *, new: bool = False) -> None:
        """Know a member on record, heard or not; with `new` it has just joined."""
        self._gone.discard(node_id)
        if name == self._name:
            return
        member = self._members.get(name)
        if member is not None and member.id not in ("", node_id):
            del self._members[name]
            member = None
        if member is None:
            member = self._members[name] = Member(name, now)
        new = new and not member.recorded
        member.id, member.recorded = node_id, True
        if new:
            self._tell("joined", member, "it is a member from now on")

    def leave(self, name: str) -> None:
        """Forget a node that is no member any more; its beats count for nothing."""
        member = self._members.pop(name, None)
        if member is not None:
            if member.id:
                self._gone.add(member.id)
            self._differ.pop(name, None)
            self._differ_told.pop(name, None)
            self._tell("left", member, "it is no member any more")

    def receive(self, beat: Beat, now: float) -> None:
        """Take a sign of life. What is old, foreign or ours changes nothing."""
        if beat.node == self._name:
            self._meet_namesake(beat)
            return
        if beat.id in self._gone:
            return
        member = self._members.get(beat.node)
        if member is None:
            member = self._members[beat.node] = Member(beat.node, now, id=beat.id)
        if member.id not in ("", beat.id):
            self._stranger(beat, f"another node calls itself {beat.node}")
            return
        if self._is_news(member, beat, now):
            self._take(member, beat, now)

    def pinged(self, name: str, rtt_ms: float | None) -> None:
        """Know a round trip; None: it did not come back."""
        member = self._members.get(name)
        if member is not None:
            member.rtt_ms = rtt_ms

    def tick(self, now: float) -> None:
        """Look who has been silent for too long."""
        self._forgive_own_pause(now)
        for member in self.members:
            if not member.stopped:
                self._judge(member, now)
        self._look_at_self(now)
        self._compare(now)

    def take_events(self) -> list[MemberEvent]:
        """What changed since this was asked last, in order."""
        told, self._events = self._events, []
        return told

    # -- beats -----------------------------------------------------------------

    def _is_news(self, member: Member, beat: Beat, now: float) -> bool:
        known = member.beat
        if known is None:
            return True
        if beat.incarnation == known.incarnation:
            return beat.seq > known.seq and not member.stopped
        if beat.incarnation in member.over:
            return False
        # A clock that was set back makes a new run look old: silence settles it.
        is_over = member.stopped or member.silence(now) >= self._suspect_s
        return is_over or _age(beat) > _age(known)

    def _take(self, member: Member, beat: Beat, now: float) -> None:
        known = member.beat
        restarted = known is not None and known.incarnation != beat.incarnation
        if restarted and known is not None:
            member.over.append(known.incarnation)
        member.beat, member.heard, member.id = beat, now, beat.id
        member.host = beat.host or member.host
        before, member.suspicion = member.suspicion, "alive"
        member.reason, member.dead_since = "", None
        if member.stopped:
            member.suspicion, member.reason = "left", "it was stopped in order"
            if before != "left":
                self._tell("left", member, member.reason)
        elif before == "left":
            self._tell("back", member, "it was started again")
        elif before != "alive":
            self._recovered(member, before, now, restarted=restarted)
        elif restarted:
            self._tell("back", member, "it was started anew")

    def _recovered(
        self, member: Member, before: Suspicion, now: float, *, restarted: bool
    ) -> None:
        told = "it was started anew" if restarted else "it is heard again"
        if before == "dead" and not restarted:
            told += ", after it was taken for dead"
        self._tell("back", member, told, quiet=member.flapping and before == "suspect")
        member.flaps.append(now)
        many = len(member.flaps) == FLAPS_MAX
        if many and now - member.flaps[0] <= FLAP_WINDOW_S and not member.flapping:
            member.flapping = True
            told = (
                f"it was not heard and heard again {FLAPS_MAX} times"
                f" within {now - member.flaps[0]:.0f} s; further ones are not told"
            )
            self._tell("flapping", member, told)

    def _meet_namesake(self, beat: Beat) -> None:
        if beat.incarnation != self._incarnation and beat.id != self._id:
            self._stranger(beat, f"another node calls itself {beat.node}, as this one")

    def _stranger(self, beat: Beat, told: str) -> None:
        who = (beat.node, beat.id)
        if who not in self._strangers and len(self._strangers) < STRANGERS_MAX:
            self._strangers.add(who)
            self._events.append(
                MemberEvent("impostor", beat.node, f"{told} (id {beat.id}): not heard")
            )

    # -- silence ---------------------------------------------------------------

    def _forgive_own_pause(self, now: float) -> None:
        """Blame nobody for the time in which this node itself stood still."""
        before, self._ticked = self._ticked, now
        if before is None:  # until now nobody was waited for
            for member in self._members.values():
                member.since = now
            return
        pause = now - before - self._beat_s
        if pause > self._beat_s:
            for member in self._members.values():
                if member.heard is None:
                    member.since = min(now, member.since + pause)
                else:
                    member.heard = min(now, member.heard + pause)

    def _judge(self, member: Member, now: float) -> None:
        silence = member.silence(now)
        if member.flapping and now - member.flaps[-1] > FLAP_WINDOW_S:
            member.flapping = False
        if silence < self._suspect_s:
            return
        if not member.recorded and silence >= self._dead_s:
            del self._members[member.name]
            return
        if member.suspicion == "alive":
            member.suspicion = "suspect"
            told = self._silent(member, now)
            self._tell("suspect", member, told, quiet=member.flapping)
        if member.suspicion != "suspect":
            return
        member.reason = self._silent(member, now)
        voters = self._voters(member, now)
        if silence >= self._dead_s and len(voters) >= self.majority:
            member.suspicion, member.dead_since = "dead", now
            member.reason = f"{member.reason}; not heard by {', '.join(voters)}"
            self._tell("dead", member, member.reason)

    def _voters(self, member: Member, now: float) -> list[str]:
        """Who says that it does not hear it, this node included."""
        others = [
            judge.name
            for judge in self._heard(now)
            if judge.recorded
            and judge is not member
            and judge.beat is not None
            and any(
                one.by == judge.name
                and one.of == member.name
                and one.suspicion in ("suspect", "dead")
                for one in judge.beat.opinions
            )
        ]
        return [self._name, *others]

    def _look_at_self(self, now: float) -> None:
        heard = 1 + sum(member.recorded for member in self._heard(now))
        is_cut_off, self._cut_off = heard < self.majority, self._cut_off
        if is_cut_off == self._cut_off:
            return
        self._cut_off = is_cut_off
        kind: Kind = "suspect" if is_cut_off else "back"
        told = self._cut_off_reason(now) if is_cut_off else "it hears enough others"
        self._events.append(MemberEvent(kind, self._name, told))

    def _cut_off_reason(self, now: float) -> str:
        recorded = sum(member.recorded for member in self._members.values())
        heard = sum(member.recorded for member in self._heard(now))
        return f"it hears {heard} of {recorded} others: it may be the one cut off"

    def _heard(self, now: float) -> Iterator[Member]:
        """Who is heard now, or was met too recently to be missed."""
        for member in self.members:
            if not member.stopped and member.silence(now) < self._suspect_s:
                yield member

    def _silent(self, member: Member, now: float) -> str:
        return f"{self._name} has not heard it for {member.silence(now):.1f} s"

    # -- opinions --------------------------------------------------------------

    def _opinion(self, member: Member, now: float) -> Opinion:
        heard = member.heard
        return Opinion(
            by=self._name,
            of=member.name,
            suspicion=member.suspicion,
            reason=member.reason,
            heard_ms=None if heard is None else round((now - heard) * 1000, 1),
            rtt_ms=member.rtt_ms,
        )

    def _compare(self, now: float) -> None:
        found = {one.of: one for one in disagreements(self.all_opinions(now))}
        self._differ = {of: self._differ.get(of, (now, False)) for of in found}
        for of, (since, told) in self._differ.items():
            if told or now - since < self._suspect_s:
                continue
            self._differ[of] = (since, True)
            last = self._differ_told.get(of)
            quiet = last is not None and now - last < FLAP_WINDOW_S
            # Of us, those tell it who hear us.
            quiet = quiet or (of == self._name and bool(found[of].heard_by))
            if not quiet:
                self._differ_told[of] = now
            self._events.append(MemberEvent("disagree", of, found[of].words, quiet))

    def _tell(
        self, kind: Kind, member: Member, reason: str, *, quiet: bool = False
    ) -> None:
        self._events.append(MemberEvent(kind, member.name, reason, quiet))


def _age(beat: Beat) -> tuple[float, str]:
    started = beat.started
    return (0.0 if started is None else started.timestamp(), beat.incarnation)
