"""Which alerts go to whom, in which group."""

import pytest

from nexa_node.contract.errors import Invalid
from nexa_node.core.alerting.notifying.routes import (
    group_key,
    label_set,
    read_match,
    routed,
    routes_of,
)
from nexa_node.core.policies import RoutePolicy

CRITICAL = RoutePolicy(receivers=("pager",), match=('severity="critical"',))
REST = RoutePolicy(receivers=("mail",))


def receivers(
    labels: dict[str, str], *policies: RoutePolicy, silent: bool = False
) -> list[str]:
    found = routed(labels, routes_of(policies, ("pager", "mail")), silent=silent)
    return [name for route in found for name in route.receivers]


def test_the_first_route_that_matches_takes_an_alert() -> None:
    assert receivers({"severity": "critical"}, CRITICAL, REST) == ["pager"]
    assert receivers({"severity": "warning"}, CRITICAL, REST) == ["mail"]


def test_a_route_that_proceeds_lets_the_next_see_it_too() -> None:
    both = RoutePolicy(receivers=("pager",), match=("severity=critical",), proceed=True)

    assert receivers({"severity": "critical"}, both, REST) == ["pager", "mail"]


def test_without_routes_everything_goes_to_everybody() -> None:
    assert receivers({"a": "b"}) == ["pager", "mail"]
    assert routes_of((), ()) == ()


def test_severity_none_goes_only_where_somebody_sent_it() -> None:
    assert receivers({"alertname": "NexaWatchdog"}, silent=True) == []
    assert receivers({"alertname": "NexaWatchdog"}, REST, silent=True) == ["mail"]


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ('team="a"', "a", True),
        ('team="a"', "b", False),
        ('team!="a"', "b", True),
        ('team!="a"', "a", False),
        ('team=~"a|b"', "b", True),
        ('team=~"a"', "ab", False),
        ('team!~"a.*"', "b", True),
        ('team!~"a.*"', "abc", False),
        ('team=""', "", True),
        ('  team = "x \\" y"', 'x " y', True),
        ("team=plain", "plain", True),
        ('team="a\\nb"', "a\nb", True),
    ],
)
def test_conditions_are_those_of_alertmanager(
    condition: str, value: str, holds: bool
) -> None:
    route = routes_of([RoutePolicy(receivers=("x",), match=(condition,))], ("x",))[0]

    assert route.matches({"team": value}) is holds


@pytest.mark.parametrize(
    "text", ["", "team", '="a"', "a b=c", 'team="a', 'team=~"("', '"']
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_match(text)


def test_an_expression_that_would_run_away_answers_at_once() -> None:
    route = routes_of([RoutePolicy(receivers=("x",), match=('t=~"(a+)+b"',))], ("x",))[
        0
    ]

    assert not route.matches({"t": "a" * 10_000})


def test_a_group_is_named_as_alertmanager_names_it() -> None:
    route = routes_of([CRITICAL], ("pager",))[0]
    labels = {"alertname": "A", "severity": "critical", "node": "n"}

    assert route.group_of(labels) == {"alertname": "A"}
    assert group_key(route, route.group_of(labels)) == (
        '{}/{severity="critical"}:{alertname="A"}'
    )


def test_grouping_by_all_labels_tells_each_alone() -> None:
    route = routes_of([RoutePolicy(receivers=("x",), group_by=("...",))], ("x",))[0]

    assert route.group_of({"a": "1", "b": "2"}) == {"a": "1", "b": "2"}


def test_labels_that_are_not_there_are_not_in_the_group() -> None:
    route = routes_of([RoutePolicy(receivers=("x",), group_by=("a", "z"))], ("x",))[0]

    assert route.group_of({"a": "1"}) == {"a": "1"}


def test_label_sets_are_quoted_as_go_quotes() -> None:
    assert label_set({"b": 'x"y\\', "a": "1\n\t\r"}) == (
        '{a="1\\n\\t\\r", b="x\\"y\\\\"}'
    )


def test_each_level_of_escalation_waits_longer_and_has_groups_of_its_own() -> None:
    policy = RoutePolicy(
        receivers=("x",), escalate_to=("y", "z"), escalate_after_minutes=10
    )
    route = routes_of([policy], ("x",), below='/{nexa_node="a"}')[0]
    first, second = route.escalates

    assert (first.receivers, first.after_s, first.wait_s) == (("y",), 600.0, 0.0)
    assert (second.receivers, second.after_s) == (("z",), 1200.0)
    assert first.key == '{}/{nexa_node="a"}/{nexa_escalation="1"}'
