"""One verdict on a cluster, with its reasons, and what it survives."""

from typing import Any

import pytest

from nexa_node.contract.nodes import Cluster, Quorum, Replica
from nexa_node.core.cluster_view import cluster_view, has_quorum
from nexa_node.core.opinions import Disagreement
from nexa_node.core.store_shape import tolerates
from nexa_node.ports import StoreShape
from tests import builders
from tests.fake_cluster import peer, place, shape

THREE = ("alpha", "beta", "gamma")


def view(lies: StoreShape, **overrides: Any) -> Cluster:
    fields: dict[str, Any] = {
        "name": "nexa",
        "nodes": [builders.node(one.node) for one in lies.peers],
        "controller": "alpha",
        "shape": lies,
    }
    return cluster_view(**{**fields, **overrides})


def test_three_nodes_that_have_all_are_healthy_and_survive_one() -> None:
    seen = view(shape(*THREE))
    assert (seen.verdict, seen.reasons) == ("healthy", ())
    assert (seen.tolerates, seen.replicas, seen.stale) == (1, 3, False)
    assert seen.quorum == Quorum(have=3, need=2)


def test_one_node_alone_is_healthy_and_survives_nothing() -> None:
    seen = view(shape("alpha"))
    assert (seen.verdict, seen.tolerates, seen.stale) == ("healthy", 0, False)
    assert seen.quorum == Quorum(have=1, need=1)


def test_two_nodes_are_plainly_told_to_have_no_tolerance() -> None:
    seen = view(shape("alpha", "beta"))
    assert (seen.verdict, seen.tolerates) == ("degraded", 0)
    assert seen.reasons[0].startswith("two nodes tolerate no loss")


def test_without_a_quorum_all_is_stale_and_that_is_said_first() -> None:
    lies = shape(
        *THREE,
        have=1,
        leader=None,
        streams=(place("NX_INBOX", *THREE, leader=None),),
        peers=(peer("alpha"), peer("beta", offline=True, active_ms=12_000.0)),
    )
    seen = view(lies)
    assert (seen.verdict, seen.stale, seen.tolerates) == ("unhealthy", True, 0)
    assert not has_quorum(lies)
    assert seen.reasons == (
        "no quorum: 1 of 2 needed nodes can vote; writes are refused",
        "the store of beta is not heard for 12 s",
    )


def test_a_node_that_refuses_writes_says_so_whatever_its_store_says() -> None:
    seen = view(shape(*THREE), is_cut_off=True)
    assert (seen.verdict, seen.stale) == ("unhealthy", True)
    assert seen.reasons == ("too few other nodes are heard here: writes are refused",)


def test_a_stream_without_a_leader_is_named() -> None:
    seen = view(shape(*THREE, streams=(place("NX_INBOX", *THREE, leader=None),)))
    assert seen.verdict == "unhealthy"
    assert seen.reasons == (
        "NX_INBOX has no leader: nothing can be written there until then",
    )


def test_many_streams_are_counted() -> None:
    streams = [place(f"S{n}", *THREE, leader=None) for n in range(5)]
    seen = view(shape(*THREE, streams=tuple(streams)))
    assert seen.reasons[0].startswith("S0, S1 and 3 more streams have no leader")


def test_an_election_of_the_store_s_leader_degrades() -> None:
    seen = view(shape(*THREE, leader=None))
    assert seen.verdict == "degraded"
    assert seen.reasons[0].startswith("the store elects its leader")


def test_copies_that_are_away_or_behind_are_told_by_node() -> None:
    copies = (
        Replica(node="alpha", current=True),
        Replica(node="beta", current=False, lag=120),
        Replica(node="gamma", current=False, offline=True),
    )
    both = (place("A", *THREE, replicas=copies), place("B", *THREE, replicas=copies))
    seen = view(shape(*THREE, streams=both))
    assert seen.verdict == "degraded"
    assert seen.reasons == (
        "gamma is away with its copies of A, B",
        "beta's copies of A, B are behind, by up to 120 operations",
    )
    assert seen.tolerates == 0


def test_fewer_copies_than_wanted_are_told_with_the_command() -> None:
    seen = view(shape(*THREE, streams=(place("A", "alpha"),)))
    assert seen.reasons == (
        "A has fewer copies than the 3 wanted; nexa cluster replicas 3 makes them",
    )
    assert seen.tolerates == 0


def test_a_store_that_catches_up_or_is_not_heard_is_told() -> None:
    peers = (
        peer("alpha"),
        peer("beta", current=False),
        peer("gamma", active_ms=9000.0),
        peer("delta", offline=True, active_ms=0.0),
    )
    seen = view(shape(*THREE, peers=peers))
    assert seen.reasons == (
        "the store of beta is still catching up",
        "the store of gamma is not heard for 9 s",
        "the store of delta is not heard",
    )


def test_disagreement_and_a_missing_controller_degrade() -> None:
    torn = Disagreement("gamma", ("alpha",), ("beta",))
    seen = view(shape(*THREE), disagreements=[torn], controller=None)
    assert seen.verdict == "degraded"
    assert seen.reasons == (
        "no node is the controller: duties wait",
        "alpha hears gamma, beta does not: the link between gamma and beta may be broken",
    )


def test_a_dead_node_degrades_a_cluster_that_works_on() -> None:
    dead = builders.node("gamma", health="unhealthy", reasons=("dead for 9 s",))
    seen = view(shape(*THREE), nodes=[builders.node("alpha"), dead])
    assert (seen.verdict, seen.reasons) == ("degraded", ("gamma: dead for 9 s",))


@pytest.mark.parametrize(
    ("lies", "survives"),
    [
        (shape(*THREE), 1),
        (shape(*THREE, have=2), 0),
        (shape(*THREE, streams=()), 1),
        (shape(*THREE, streams=(), replicas=1), 0),
        (shape(*THREE, streams=(place("A", "beta"),)), 0),
        (shape("a", "b", "c", "d", "e"), 1),
        (shape("a", "b", "c", "d", "e", streams=(place("A", *"abcde"),)), 2),
        (shape("a", "b"), 0),
    ],
)
def test_a_cluster_survives_what_its_weakest_part_survives(
    lies: StoreShape, survives: int
) -> None:
    assert tolerates(lies) == survives
