"""Plans of what is killed, and when."""

from collections import Counter

from tests.system.crashes.plan import KINDS, plan


def test_the_same_seed_is_the_same_plan_and_another_one_is_not() -> None:
    first = plan(7, tasks=20_000, kills=40, agents=4)

    assert first == plan(7, tasks=20_000, kills=40, agents=4)
    assert first != plan(8, tasks=20_000, kills=40, agents=4)


def test_kinds_come_equally_often_and_moments_in_order_within_the_work() -> None:
    made = plan(1, tasks=1000, kills=40, agents=4)

    assert Counter(kill.kind for kill in made) == dict.fromkeys(KINDS, 10)
    moments = [kill.after for kill in made]
    assert moments == sorted(moments)
    assert moments[0] >= 1
    assert moments[-1] <= 900
    assert {kill.agent for kill in made} <= set(range(4))


def test_a_trial_without_kills_has_no_plan() -> None:
    assert plan(1, tasks=0, kills=0, agents=1) == []
