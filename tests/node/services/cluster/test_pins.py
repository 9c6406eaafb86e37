"""By which keys members know each other's routes, and when nobody is shut out."""

import msgspec

from nexa_node.services.cluster.pins import Pins
from tests.fake_cluster import entry


def test_all_members_are_pinned_once_each_has_told_its_key() -> None:
    beta, gamma = entry("beta", pin="bb"), entry("gamma", pin="cc")

    assert Pins().all("aa", (gamma, beta)) == ("aa", "bb", "cc")
    assert Pins().all("aa", ()) == ("aa",)


def test_while_one_has_told_none_nobody_is() -> None:
    assert Pins().all("aa", (entry("beta", pin="bb"), entry("gamma"))) == ()


def test_who_leaves_needs_its_routes_to_the_end() -> None:
    leaving = msgspec.structs.replace(entry("beta", pin="bb"), left=True)

    assert Pins().all("aa", (leaving,)) == ("aa", "bb")


def test_what_others_tell_counts_only_while_there_is_no_quorum() -> None:
    pins = Pins()
    pins.hear("beta", ("aa", "bb", "dd"))
    pins.hear("gamma", ())

    assert pins.told(has_quorum=False) == {"aa", "bb", "dd"}
    assert pins.told(has_quorum=True) == set()
    assert pins.told(has_quorum=False) == set(), "what was told before is old"
