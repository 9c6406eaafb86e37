import re

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.alerts import LabelMatcher
from nexa_node.contract.errors import Invalid
from nexa_node.contract.matchers import parse_matcher, written
from nexa_node.core.alerting.inhibition import BUILTIN, compile_one, compiled
from nexa_node.core.alerting.rules import load
from nexa_node.core.policies import InhibitPolicy
from nexa_node.services.alerting import faulting
from nexa_node.wiring.alerting import builtin_rules


@pytest.mark.parametrize(
    ("text", "name", "kind", "value"),
    [
        ("a=b", "a", "=", "b"),
        ('a="b c"', "a", "=", "b c"),
        ("team!=web", "team", "!=", "web"),
        ('q=~"wc|sum"', "q", "=~", "wc|sum"),
        ("q!~x.*", "q", "!~", "x.*"),
        ('a="say \\"hi\\"\\n"', "a", "=", 'say "hi"\n'),
        (" a = b ", "a", "=", "b"),
        ("a=", "a", "=", ""),
    ],
)
def test_conditions_are_read_as_people_write_them(
    text: str, name: str, kind: str, value: str
) -> None:
    found = parse_matcher(text)
    assert (found.name, found.kind, found.value) == (name, kind, value)


@pytest.mark.parametrize("text", ["", "a", "=b", "1a=b", 'a="b', "a" * 2000 + "=b"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_matcher(text)


@given(
    st.builds(
        LabelMatcher,
        name=st.from_regex(r"[a-z_][a-z0-9_]{0,9}", fullmatch=True),
        kind=st.sampled_from(["=", "!=", "=~", "!~"]),
        value=st.text(max_size=40),
    )
)
def test_what_is_written_is_read_as_the_same(matcher: LabelMatcher) -> None:
    assert parse_matcher(written(matcher)) == matcher


def test_nexas_own_inhibitions_are_all_understood() -> None:
    assert len(compiled(())) == len(BUILTIN)


def test_an_inhibition_names_both_sides() -> None:
    with pytest.raises(Invalid):
        compile_one(InhibitPolicy(source=(), target=("a=b",)))
    with pytest.raises(Invalid):
        compile_one(InhibitPolicy(source=("a=~(",), target=("a=b",)))


def test_nexas_own_inhibitions_name_alerts_that_there_are() -> None:
    names = {
        rule.name for group in load(builtin_rules(), file="b") for rule in group.rules
    }
    names.add(faulting.ALERT)
    for policy in BUILTIN:
        for text in (*policy.source, *policy.target):
            condition = parse_matcher(text)
            if condition.name == "alertname" and condition.kind in ("=", "=~"):
                for part in re.sub(r"\(.*\)", "Slow", condition.value).split("|"):
                    assert part in names, text
