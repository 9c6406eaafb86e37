"""How far a change is, is known at every node; and forgotten once it is long over."""

from nexa_node.contract.nodes import Growth
from nexa_node.services.cluster.growths import SENT_S, SHOWN_S, Growths
from tests.fakes import FakeClock

COPYING = Growth(action="replicas", phase="copy", done=1, total=10)


async def test_our_own_is_stamped_and_sent_for_a_while() -> None:
    clock = FakeClock()
    growths = Growths(node="alpha", clock=clock)
    heard: list[int] = []
    growths.on_change(lambda: heard.append(1))
    assert growths.to_send() is None
    growths.tell(COPYING)

    told = growths.to_send()
    assert told is not None
    assert (told.node, told.time, told.done) == ("alpha", clock.now(), 1)
    assert growths.current() == told
    await clock.advance(SENT_S)
    assert growths.to_send() is None
    assert growths.current() == told
    await clock.advance(SHOWN_S)
    assert growths.current() is None
    assert heard == [1]


async def test_the_newest_of_all_nodes_is_shown_and_the_same_again_is_no_news() -> None:
    clock = FakeClock()
    growths = Growths(node="alpha", clock=clock)
    growths.tell(COPYING)
    await clock.advance(1)
    theirs = Growth(action="join", phase="votes", detail="delta", node="beta")
    growths.hear("beta", theirs)
    assert growths.current() == theirs

    await clock.advance(1)
    growths.tell(COPYING)
    growths.hear("beta", theirs)
    now = growths.current()
    assert now is not None
    assert now.action == "replicas"
    assert growths.to_send() == now
