"""What a node keeps of the others: it adds at once, and shuts out with a quorum only."""

import msgspec

from nexa_node.adapters.files.membership import ClusterFile
from nexa_node.wiring.routes import Heard, known

THERE = ClusterFile(
    cluster="nexa",
    cluster_id="c1",
    route="a:1",
    route_password="canary",
    routes=("b:1", "c:1"),
    formed=True,
    pins=("aa", "bb", "cc"),
)
NOTHING: frozenset[str] = frozenset()


def test_with_a_quorum_the_record_counts() -> None:
    heard = Heard(
        ("b:1", "d:1"), ("aa", "bb", "dd"), frozenset(("xx",)), has_quorum=True
    )
    wanted = msgspec.structs.replace(
        THERE, routes=("b:1", "d:1"), pins=("aa", "bb", "dd")
    )

    assert known(THERE, heard) == wanted


def test_before_the_record_is_read_all_stays_as_it_was() -> None:
    assert known(THERE, Heard((), None, NOTHING, has_quorum=True)) == THERE
    assert known(THERE, Heard((), None, NOTHING, has_quorum=False)) == THERE


def test_without_a_quorum_nobody_is_shut_out_and_who_is_told_of_is_let_in() -> None:
    heard = Heard(("b:1",), ("aa", "bb"), frozenset(("dd",)), has_quorum=False)

    assert known(THERE, heard).pins == ("aa", "bb", "cc", "dd")


def test_where_a_member_has_no_pin_nobody_is_pinned() -> None:
    assert known(THERE, Heard(("b:1",), (), NOTHING, has_quorum=True)).pins == ()
    unpinned = msgspec.structs.replace(THERE, pins=())
    assert (
        known(unpinned, Heard((), None, frozenset(("dd",)), has_quorum=False)).pins
        == ()
    )
