"""Who is thought to be alive: by one node, and by all of a cluster that is torn."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nexa_node.contract.cluster import Beat
from nexa_node.contract.nodes import Opinion
from nexa_node.core.member import FLAP_WINDOW_S, OLD_MAX, MemberEvent
from nexa_node.core.membership import STRANGERS_MAX, Membership
from nexa_node.core.policies import ClusterPolicy
from tests import builders

POLICY = ClusterPolicy(beat_ms=500, suspect_ms=1500, dead_ms=3000)
BEAT_S, STEP_S = 0.5, 0.1
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon")


def beat(node: str = "beta", seq: int = 1, **overrides: Any) -> Beat:
    fields: dict[str, Any] = {
        "node": node,
        "id": f"id-{node}",
        "incarnation": f"run-{node}",
        "seq": seq,
        "url": f"https://{node}:6392",
        "version": "0.4.0",
        "state": "running",
        "health": "healthy",
        "started": builders.EARLIER,
    }
    return Beat(**{**fields, **overrides})


def says(by: str, of: str, suspicion: Any) -> Opinion:
    return Opinion(by=by, of=of, suspicion=suspicion)


def machine(*others: str, name: str = "alpha", now: float = 0.0) -> Membership:
    made = Membership(
        name=name, node_id=f"id-{name}", incarnation=f"run-{name}", policy=POLICY
    )
    for other in others:
        made.expect(other, f"id-{other}", now)
    return made


def kinds(made: Membership) -> list[tuple[str, str]]:
    return [(event.kind, event.node) for event in made.take_events()]


class Cluster:
    """Machines that hear each other's beats, as far as the links let them."""

    def __init__(self, size: int, rng: random.Random | None = None) -> None:
        self.names = NAMES[:size]
        self.now = 0.0
        self.machines = {
            name: machine(*(n for n in self.names if n != name), name=name)
            for name in self.names
        }
        self.down: set[str] = set()
        self.cut: set[tuple[str, str]] = set()
        self.events: list[tuple[str, MemberEvent]] = []
        self._due = {
            name: (rng.random() if rng else 0.0) * BEAT_S for name in self.names
        }
        self._seq = dict.fromkeys(self.names, 0)

    def part(self, *sides: set[str]) -> None:
        for side in sides:
            for one in side:
                self.cut |= {(one, n) for n in self.names if n not in side}

    def run(
        self, seconds: float, each: Callable[["Cluster"], None] | None = None
    ) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            for name in self.names:
                if name not in self.down and self._due[name] <= self.now:
                    self._due[name] += BEAT_S
                    self._beat(name)
            if each is not None:
                each(self)

    def _beat(self, name: str) -> None:
        own = self.machines[name]
        own.tick(self.now)
        self._seq[name] += 1
        told = beat(name, self._seq[name], opinions=own.opinions(self.now))
        for other in self.names:
            if (
                other != name
                and other not in self.down
                and (name, other) not in self.cut
            ):
                self.machines[other].receive(told, self.now)
        self.events += [(name, event) for event in own.take_events()]

    def says(self, by: str, of: str) -> str | None:
        return self.machines[by].suspicion(of)


def test_a_member_that_beats_is_alive_and_nobody_is_told() -> None:
    cluster = Cluster(3)
    cluster.run(30)

    assert cluster.says("alpha", "beta") == "alive"
    assert cluster.machines["alpha"].living() == {"alpha", "beta", "gamma"}
    assert cluster.events == []


def test_a_silent_node_is_suspected_first_and_dead_when_a_majority_says_so() -> None:
    cluster = Cluster(3)
    cluster.run(5)
    cluster.down.add("gamma")
    cluster.run(2.1)
    assert cluster.says("alpha", "gamma") == "suspect"
    assert "gamma" in cluster.machines["alpha"].living()

    cluster.run(1.9)
    assert cluster.says("alpha", "gamma") == cluster.says("beta", "gamma") == "dead"
    assert cluster.machines["alpha"].living() == {"alpha", "beta"}
    told = [(who, e.kind) for who, e in cluster.events if e.node == "gamma"]
    assert sorted(told) == [
        ("alpha", "dead"),
        ("alpha", "suspect"),
        ("beta", "dead"),
        ("beta", "suspect"),
    ]
    assert (
        "not heard by alpha, beta" in cluster.machines["alpha"].health("gamma", 0)[1][0]
    )


def test_death_is_told_within_a_beat_of_its_time() -> None:
    cluster = Cluster(5, random.Random(7))
    cluster.run(5)
    cluster.down.add("gamma")
    died = cluster.now
    while cluster.says("alpha", "gamma") != "dead":
        cluster.run(STEP_S)
    assert cluster.now - died <= 3.0 + 2 * BEAT_S


def test_a_node_that_only_one_does_not_hear_is_not_dead() -> None:
    cluster = Cluster(3)
    cluster.run(2)
    cluster.cut = {("gamma", "alpha"), ("alpha", "gamma")}
    cluster.run(60)

    assert cluster.says("alpha", "gamma") == "suspect"
    assert cluster.says("beta", "gamma") == "alive"
    assert not cluster.machines["alpha"].is_cut_off


def test_disagreement_is_told_in_words_and_once() -> None:
    cluster = Cluster(3)
    cluster.run(2)
    cluster.cut = {("gamma", "alpha")}
    cluster.run(20)

    told = [
        e.reason for who, e in cluster.events if who == "beta" and e.kind == "disagree"
    ]
    assert len(told) == 1
    assert told[0] == (
        "beta hears gamma, alpha does not, though gamma hears alpha:"
        " the way from gamma to alpha is broken"
    )
    found = cluster.machines["beta"].disagreements(cluster.now)
    assert [(one.of, one.heard_by, one.deaf) for one in found] == [
        ("gamma", ("beta",), ("alpha",))
    ]


def test_the_jitter_of_a_true_death_is_no_disagreement() -> None:
    cluster = Cluster(5, random.Random(3))
    cluster.run(5)
    cluster.down.add("beta")
    cluster.run(20)

    assert [e for _, e in cluster.events if e.kind == "disagree"] == []
    assert cluster.machines["alpha"].disagreements(cluster.now) == ()


def test_a_node_that_hears_too_few_suspects_itself_and_buries_nobody() -> None:
    cluster = Cluster(3)
    cluster.run(2)
    cluster.part({"alpha"}, {"beta", "gamma"})
    cluster.run(30)

    alpha = cluster.machines["alpha"]
    assert alpha.is_cut_off
    assert alpha.suspicion("alpha") == "suspect"
    assert {alpha.suspicion("beta"), alpha.suspicion("gamma")} == {"suspect"}
    assert alpha.living() == {"alpha", "beta", "gamma"}
    assert "it hears 0 of 2 others" in alpha.opinions(cluster.now)[-1].reason
    assert cluster.says("beta", "alpha") == cluster.says("gamma", "alpha") == "dead"

    cluster.events.clear()
    cluster.cut.clear()
    cluster.run(2)
    assert not alpha.is_cut_off
    assert cluster.says("beta", "alpha") == "alive"
    assert ("alpha", "back", "alpha") in [
        (w, e.kind, e.node) for w, e in cluster.events
    ]


def test_of_two_nodes_none_can_say_that_the_other_is_dead() -> None:
    cluster = Cluster(2)
    cluster.run(2)
    cluster.down.add("beta")
    cluster.run(60)

    assert cluster.says("alpha", "beta") == "suspect"
    assert cluster.machines["alpha"].is_cut_off


def test_one_way_between_two_nodes_is_found_by_the_one_who_hears() -> None:
    cluster = Cluster(2)
    cluster.run(2)
    cluster.cut = {("alpha", "beta")}
    cluster.run(5)

    (found,) = cluster.machines["alpha"].disagreements(cluster.now)
    assert found.words == (
        "beta does not hear alpha, though alpha hears beta:"
        " the way from alpha to beta is broken"
    )


def test_a_node_that_was_away_is_back_and_told() -> None:
    cluster = Cluster(3)
    cluster.run(2)
    cluster.down.add("gamma")
    cluster.run(10)
    cluster.events.clear()
    cluster.down.clear()
    cluster.run(2)

    assert cluster.says("alpha", "gamma") == "alive"
    back = [(who, e.reason) for who, e in cluster.events if e.kind == "back"]
    assert ("alpha", "it is heard again, after it was taken for dead") in back


def test_a_restart_is_told_and_the_run_before_is_never_heard_again() -> None:
    made = machine("beta")
    made.receive(beat(seq=100), 0.0)
    later = builders.EARLIER + timedelta(seconds=5)
    made.receive(beat(seq=1, incarnation="run-2", started=later), 0.5)
    assert [(e.kind, e.reason) for e in made.take_events()] == [
        ("back", "it was started anew")
    ]
    made.receive(beat(seq=101, state="error"), 0.6)
    made.receive(beat(seq=101, state="error"), 60)

    (member,) = made.members
    assert member.beat is not None
    assert (member.beat.incarnation, member.beat.state) == ("run-2", "running")


def test_a_run_that_began_earlier_waits_until_the_newer_one_is_silent() -> None:
    made = machine("beta")
    earlier = builders.EARLIER - timedelta(hours=2)
    made.receive(beat(seq=5), 0.0)
    made.receive(beat(seq=1, incarnation="odd", started=earlier), 1.0)
    assert made.members[0].heard == 0.0

    made.receive(beat(seq=4, incarnation="odd", started=earlier), 1.6)
    assert made.members[0].heard == 1.6


def test_old_beats_of_one_run_change_nothing() -> None:
    made = machine("beta")
    made.receive(beat(seq=9, agents=7), 0.0)
    made.receive(beat(seq=8, agents=1), 1.0)
    made.receive(beat(seq=9, agents=1), 1.0)

    assert made.members[0].heard == 0.0
    assert made.members[0].beat == beat(seq=9, agents=7)


def test_a_node_that_says_goodbye_is_left_and_not_missed() -> None:
    made = machine("beta", "gamma")
    made.receive(beat(), 0.0)
    made.receive(beat("gamma"), 0.0)
    made.receive(beat(seq=2, state="stopped"), 0.1)
    made.receive(beat(seq=3), 0.2)
    made.tick(0.3)
    assert kinds(made) == [("left", "beta")]
    assert made.suspicion("beta") == "left"
    assert made.living() == {"alpha", "gamma"}
    assert made.majority == 2, "it has still a vote"
    assert made.health("beta", 1) == ("unknown", ("it was stopped in order",))

    made.receive(beat(seq=1, incarnation="run-2"), 90)
    assert [e.reason for e in made.take_events()] == ["it was started again"]


def test_a_node_struck_off_is_not_heard_until_it_is_on_record_again() -> None:
    made = machine("beta", "gamma")
    made.receive(beat(), 0.0)
    made.leave("beta")
    made.leave("beta")
    made.receive(beat(seq=2), 0.1)
    assert kinds(made) == [("left", "beta")]
    assert [member.name for member in made.members] == ["gamma"]
    assert made.majority == 2

    made.expect("beta", "id-beta", 1.0, new=True)
    made.receive(beat(seq=3), 1.1)
    assert kinds(made) == [("joined", "beta")]
    assert made.suspicion("beta") == "alive"


def test_who_is_not_on_record_has_no_vote_and_is_forgotten() -> None:
    made = machine("beta")
    made.receive(beat("visitor"), 0.0)
    assert made.suspicion("visitor") == "alive"
    assert made.majority == 2
    made.expect("visitor", "id-visitor", 0.1, new=True)
    assert kinds(made) == [("joined", "visitor")]

    made.receive(beat("ghost"), 0.2)
    for now in (1.0, 1.5, 2.0, 2.5, 3.0, 3.5):
        made.tick(now)
    assert made.suspicion("ghost") is None
    assert made.suspicion("visitor") == "suspect"


def test_a_name_used_twice_is_told_once() -> None:
    made = machine("beta")
    made.receive(beat(), 0.0)
    for seq in (5, 6):
        made.receive(beat(seq=seq, id="other"), 0.1)
        made.receive(beat("alpha", seq, id="other", incarnation="x"), 0.1)
    made.receive(beat("alpha", 7, incarnation="before"), 0.1)
    made.receive(beat("alpha", 7), 0.1)

    assert kinds(made) == [("impostor", "beta"), ("impostor", "alpha")]
    assert made.has_namesake("other")
    assert made.members[0].beat == beat()


def test_foreign_names_and_runs_can_not_fill_the_memory() -> None:
    made = machine("beta")
    for number in range(2 * STRANGERS_MAX):
        made.receive(beat(seq=1, id=f"odd-{number}"), 0.0)
        began = builders.EARLIER + timedelta(seconds=number)
        made.receive(beat(incarnation=f"run-{number}", started=began), 0.0)

    assert len([1 for kind, _ in kinds(made) if kind == "impostor"]) == STRANGERS_MAX
    assert len(made.members[0].over) == OLD_MAX


def test_an_entry_with_another_id_is_another_node() -> None:
    made = machine("beta")
    made.receive(beat(), 0.0)
    made.expect("beta", "new-id", 1.0)
    assert made.members[0].heard is None

    made.receive(beat(seq=1, id="new-id", incarnation="n"), 1.1)
    assert made.members[0].heard == 1.1
    made.expect("alpha", "whoever", 2.0)
    assert [member.name for member in made.members] == ["beta"]


def test_a_flapping_node_is_told_once() -> None:
    made = machine("beta")
    seq, now, told = 0, 0.0, []
    for _ in range(10):
        seq += 1
        made.receive(beat(seq=seq), now)
        for _ in range(4):
            now += BEAT_S
            made.tick(now)
        told += [e for e in made.take_events() if e.node == "beta" and not e.quiet]
    assert [event.kind for event in told] == [
        *("suspect", "back", "suspect", "back", "suspect", "back", "flapping")
    ]
    assert told[-1].reason.startswith("it was not heard and heard again 3 times within")

    for _ in range(round(2 * FLAP_WINDOW_S / BEAT_S)):
        seq, now = seq + 1, now + BEAT_S
        made.receive(beat(seq=seq), now)
        made.tick(now)
    made.take_events()
    for _ in range(5):
        now += BEAT_S
        made.tick(now)
    assert [(e.kind, e.quiet) for e in made.take_events() if e.node == "beta"] == [
        ("suspect", False)
    ]


def test_nobody_is_waited_for_before_the_first_look() -> None:
    """As when a cluster is formed: its second member is on record long before."""
    made = machine("beta")
    made.tick(300.0)
    made.tick(301.0)
    assert made.suspicion("beta") == "alive"
    assert made.take_events() == []
    made.tick(302.0)
    assert ("suspect", "beta") in kinds(made)


def test_a_node_blames_nobody_for_its_own_pause() -> None:
    made = machine("beta", "gamma")
    seq = 0
    for turn in range(10):
        seq, now = seq + 1, turn * BEAT_S
        for name in ("beta", "gamma"):
            made.receive(beat(name, seq), now)
        made.tick(now)
    made.tick(now + 25)
    assert made.take_events() == []
    assert not made.is_cut_off

    made.tick(now + 25.5)
    made.tick(now + 26)
    made.tick(now + 26.5)
    assert ("suspect", "beta") in kinds(made)


def test_health_is_told_by_the_node_itself_while_it_is_heard() -> None:
    made = machine("beta", "gamma")
    made.receive(beat(health="degraded", reasons=("the disk is full",)), 0.0)
    assert made.health("beta", 0.1) == ("degraded", ("the disk is full",))
    assert made.health("gamma", 1.0)[0] == "unknown"
    assert made.health("nobody", 1.0) == ("unknown", ("no node nobody is known here",))
    for now in (0.5, 1.0, 1.5, 2.0):
        made.tick(now)
    assert made.health("beta", 2.0) == (
        "degraded",
        ("alpha has not heard it for 2.0 s",),
    )


def test_opinions_carry_round_trips_and_times() -> None:
    made = machine("beta", "gamma")
    made.receive(beat(), 1.0)
    made.pinged("beta", 0.4)
    made.pinged("nobody", 0.4)

    assert made.opinions(1.25) == (
        Opinion(by="alpha", of="beta", suspicion="alive", heard_ms=250.0, rtt_ms=0.4),
        Opinion(by="alpha", of="gamma", suspicion="alive"),
    )


def test_a_node_speaks_for_itself_alone() -> None:
    made = machine("beta", "gamma")
    forged = (says("gamma", "beta", "dead"), says("beta", "gamma", "alive"))
    made.receive(beat(opinions=forged), 0.0)

    assert says("beta", "gamma", "alive") in made.all_opinions(0.1)
    assert says("gamma", "beta", "dead") not in made.all_opinions(0.1)


def test_what_a_silent_node_thought_last_has_no_vote() -> None:
    made = machine("beta", "gamma")
    made.receive(beat(opinions=(says("beta", "gamma", "suspect"),)), 0.0)
    for turn in range(1, 20):
        made.tick(turn * BEAT_S)

    assert made.suspicion("gamma") == "suspect"
    assert made.all_opinions(10.0) == made.opinions(10.0)


# -- laws ----------------------------------------------------------------------

sizes = st.integers(min_value=2, max_value=5)


@settings(deadline=None, max_examples=40)
@given(sizes, st.randoms(use_true_random=False), st.data())
def test_at_most_one_side_of_a_partition_takes_the_other_for_dead(
    size: int, rng: random.Random, data: st.DataObject
) -> None:
    cluster = Cluster(size, rng)
    cluster.run(data.draw(st.sampled_from([0.0, 0.4, 3.0])))
    at = data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    sides = [
        {n for n, s in zip(cluster.names, at, strict=True) if s == k} for k in range(3)
    ]
    cluster.part(*sides)

    def check(cluster: Cluster) -> None:
        burying = [
            side
            for side in sides
            if any(
                cluster.says(one, other) == "dead"
                for one in side
                for other in cluster.names
            )
        ]
        assert len(burying) <= 1
        assert all(2 * len(side) > size for side in burying)

    cluster.run(15, check)
    for side in sides:
        if 2 * len(side) > size:
            away = set(cluster.names) - side
            assert all(
                cluster.says(one, gone) == "dead" for one in side for gone in away
            )
        else:
            assert all(cluster.machines[one].is_cut_off for one in side)


@settings(deadline=None, max_examples=30)
@given(st.integers(min_value=3, max_value=5), st.randoms(use_true_random=False))
def test_nobody_is_dead_while_a_majority_hears_it(
    size: int, rng: random.Random
) -> None:
    cluster = Cluster(size, rng)
    # To a majority each is heard for ever; the other links come and go.
    weak: set[tuple[str, str]] = set()
    for name in cluster.names:
        others = [other for other in cluster.names if other != name]
        weak |= {(name, other) for other in rng.sample(others, (size - 1) // 2)}

    def tear(cluster: Cluster) -> None:
        if rng.random() < 0.05:
            cluster.cut = weak if rng.random() < 0.5 else set(weak_sample())
        dead = [
            (n, o)
            for n in NAMES[:size]
            for o in NAMES[:size]
            if cluster.says(n, o) == "dead"
        ]
        assert dead == []

    def weak_sample() -> list[tuple[str, str]]:
        return rng.sample(sorted(weak), rng.randrange(len(weak) + 1))

    cluster.cut = weak
    cluster.run(20, tear)


@settings(deadline=None)
@given(st.data())
def test_the_order_of_beats_does_not_matter(data: st.DataObject) -> None:
    runs = st.integers(min_value=0, max_value=2)
    said = st.lists(
        st.tuples(st.sampled_from(["beta", "gamma"]), runs, st.integers(1, 9)),
        min_size=1,
        max_size=12,
        unique=True,
    )
    beats = [
        beat(
            name,
            seq,
            incarnation=f"run-{run}",
            started=builders.EARLIER + timedelta(seconds=run),
            agents=10 * run + seq,
        )
        for name, run, seq in data.draw(said)
    ]
    outcomes = []
    for order in (beats, data.draw(st.permutations(beats))):
        made = machine("beta", "gamma")
        for one in order:
            made.receive(one, 1.0)
        outcomes.append(
            (
                made.opinions(1.1),
                [member.beat for member in made.members],
                made.living(),
            )
        )
    assert outcomes[0] == outcomes[1]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*NAMES, "?", ""]),
            st.integers(-5, 5),
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["running", "stopped", "maintenance"]),
            st.floats(0, 4),
        ),
        max_size=40,
    )
)
def test_nothing_that_is_heard_breaks_it(
    told: list[tuple[str, int, str, Any, float]],
) -> None:
    made, now = machine("beta", "gamma"), 0.0
    for name, seq, incarnation, state, pause in told:
        now += pause
        made.receive(
            beat(name, seq, incarnation=incarnation, state=state, started=None), now
        )
        made.tick(now)
        assert "alpha" in made.living()
        assert len({o.of for o in made.opinions(now)}) == len(made.opinions(now))
    made.take_events()
    assert made.take_events() == []


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_a_majority_is_more_than_half(size: int) -> None:
    made = machine(*NAMES[1:size])
    assert made.majority == size // 2 + 1
