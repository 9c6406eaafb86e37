import re

import pytest
from hypothesis import given, strategies as st

from nexa_node.contract.alerts import LabelMatcher
from nexa_node.contract.errors import Invalid
from nexa_node.contract.matchers import (
    MANY,
    parse_matcher,
    parse_matchers,
    read_matchers,
    written,
)
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


MATCHERS = st.builds(
    LabelMatcher,
    name=st.from_regex(r"[a-z_][a-z0-9_]{0,9}", fullmatch=True),
    kind=st.sampled_from(["=", "!=", "=~", "!~"]),
    value=st.text(max_size=40),
)


@given(MATCHERS)
def test_what_is_written_is_read_as_the_same(matcher: LabelMatcher) -> None:
    assert parse_matcher(written(matcher)) == matcher


@given(st.lists(MATCHERS, max_size=5), st.sampled_from([" ", ",", ", "]), st.booleans())
def test_several_are_read_with_commas_or_blanks_with_braces_or_without(
    some: list[LabelMatcher], between: str, braces: bool
) -> None:
    text = between.join(written(one) for one in some)
    assert parse_matchers(f"{{{text}}}" if braces else text) == tuple(some)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("{}", []),
        ("a=b c!=d", ["b", "d"]),
        ('{a="x, y",b=~"c|d",}', ["x, y", "c|d"]),
        ('  a = "b" , c="}"  ', ["b", "}"]),
        ("a=,b=c", ["", "c"]),
    ],
)
def test_several_as_people_write_them(text: str, values: list[str]) -> None:
    assert [one.value for one in parse_matchers(text)] == values


@pytest.mark.parametrize(
    "text",
    ["{a=b", "nothing", 'a="b"c="d"', "a=b,,c=d", 'a="b', "a=b" + ",a=b" * MANY, ","],
)
def test_what_is_not_only_conditions_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_matchers(text)


def test_words_of_a_command_line_are_one_condition_each_or_several_in_braces() -> None:
    found = read_matchers(["a=b c", '{d="e",f=~"g"}'])
    assert [(one.name, one.value) for one in found] == [
        ("a", "b c"), ("d", "e"), ("f", "g"),
    ]  # fmt: skip


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
