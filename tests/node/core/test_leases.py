from nexa_node.contract.ids import TaskId
from nexa_node.core.leases import Ended, Leases

A, B = TaskId("a"), TaskId("b")


def leases() -> Leases:
    return Leases(lease_s=30.0, grace_s=3.0)


def test_a_lease_ends_when_nobody_renews_it() -> None:
    held = leases()
    held.hold(A, 0.0)
    assert held.ended(29.9) == []

    assert held.ended(30.0) == [Ended(A, agent_lost=False)]
    assert held.ended(99.0) == []
    assert len(held) == 0


def test_renewing_begins_it_anew() -> None:
    held = leases()
    held.hold(A, 0.0)
    assert held.renew(A, 20.0) == 30.0
    assert held.ended(49.9) == []

    assert held.ended(50.0) == [Ended(A, agent_lost=False)]


def test_no_renewal_reaches_beyond_the_deadline() -> None:
    held = leases()
    held.hold(A, 0.0, latest=40.0)
    assert held.renew(A, 20.0) == 20.0

    assert held.ended(40.0) == [Ended(A, agent_lost=False)]


def test_an_absent_agents_lease_ends_with_its_grace() -> None:
    held = leases()
    held.hold(A, 0.0)
    held.away(A, 10.0)
    held.away(A, 12.0)
    assert held.ended(12.9) == []

    assert held.ended(13.0) == [Ended(A, agent_lost=True)]


def test_coming_back_in_time_renews_it() -> None:
    held = leases()
    held.hold(A, 0.0)
    held.away(A, 10.0)
    held.back(A, 12.0)
    assert held.ended(41.9) == []

    assert held.ended(42.0) == [Ended(A, agent_lost=False)]


def test_a_lease_that_ends_before_the_grace_ended_by_itself() -> None:
    held = leases()
    held.hold(A, 0.0)
    held.away(A, 28.0)

    assert held.ended(31.0) == [Ended(A, agent_lost=False)]


def test_dropped_leases_do_not_end() -> None:
    held = leases()
    held.hold(A, 0.0)
    held.hold(B, 1.0, lease_s=0.5)
    held.drop(A)
    held.drop(A)
    assert held.renew(A, 1.0) is None
    held.away(A, 1.0)

    assert held.ended(99.0) == [Ended(B, agent_lost=False)]


def test_held_again_after_a_drop_it_lasts_the_whole_time() -> None:
    held = leases()
    held.hold(A, 0.0)
    held.drop(A)
    held.hold(A, 20.0)
    assert held.ended(40.0) == []

    assert held.ended(50.0) == [Ended(A, agent_lost=False)]
