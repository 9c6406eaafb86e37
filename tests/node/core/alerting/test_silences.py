"""Silences and inhibition: who is not told, and why."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from nexa_node.contract.alerts import Alert, LabelMatcher, NewSilence, Silence
from nexa_node.contract.errors import Invalid
from nexa_node.core.alerting.silences import (
    Inhibition,
    check_silence,
    compiled,
    inhibitors,
    is_active,
    preview,
    silences,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def alert(name: str, **labels: str) -> Alert:
    return Alert(
        fingerprint=f"{name}-{'-'.join(labels.values())}",
        name=name,
        state="firing",
        severity="warning",
        labels={"alertname": name, **labels},
        annotations={},
        since=NOON,
        fired=NOON,
    )


def match(name: str, kind: str, value: str) -> LabelMatcher:
    return LabelMatcher(name=name, kind=kind, value=value)  # type: ignore[arg-type]


def wanted(*matchers: LabelMatcher, **given: object) -> NewSilence:
    fields = {"matchers": matchers, "comment": "known", "duration_s": 3600, **given}
    return NewSilence(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("matchers", "hidden"),
    [
        ((match("alertname", "=", "Hot"),), True),
        ((match("alertname", "!=", "Hot"),), False),
        ((match("node", "=~", "a|b"),), True),
        ((match("node", "=~", "al"),), False),
        ((match("node", "!~", "b.*"),), True),
        ((match("zone", "=", ""),), True),
        ((match("zone", "=~", ".+"),), False),
        ((match("alertname", "=", "Hot"), match("node", "=", "b")), False),
    ],
)
def test_matchers_are_alertmanagers(
    matchers: tuple[LabelMatcher, ...], hidden: bool
) -> None:
    assert silences(compiled(matchers), alert("Hot", node="a").labels) == hidden


def test_a_silence_begins_now_at_the_earliest() -> None:
    past = wanted(match("a", "=", "b"), starts=NOON - timedelta(days=1))
    later = wanted(match("a", "=", "b"), starts=NOON + timedelta(hours=2))

    assert check_silence(past, now=NOON) == (NOON, NOON + timedelta(hours=1))
    assert check_silence(later, now=NOON)[0] == NOON + timedelta(hours=2)


@pytest.mark.parametrize(
    "bad",
    [
        wanted(match("a", "=", "b"), comment="  "),
        wanted(match("a", "=", "b"), comment="x" * 1001),
        wanted(match("a", "=", "b"), duration_s=0),
        wanted(match("a", "=", "b"), duration_s=31 * 86400),
        wanted(match("a", "=~", ".*")),
        wanted(match("a", "=", "")),
        wanted(),
        wanted(match("a", "=~", "(")),
        wanted(*[match("a", "=", "b")] * 51),
    ],
)
def test_what_hides_everything_or_says_nothing_is_refused(bad: NewSilence) -> None:
    with pytest.raises(Invalid):
        check_silence(bad, now=NOON)


def test_it_is_in_force_between_its_ends() -> None:
    silence = Silence(
        id="s1",
        matchers=(match("a", "=", "b"),),
        starts=NOON,
        ends=NOON + timedelta(hours=1),
        by="ann",
        comment="known",
        created=NOON,
    )

    assert not is_active(silence, NOON - timedelta(seconds=1))
    assert is_active(silence, NOON)
    assert not is_active(silence, silence.ends)


def test_a_preview_counts_what_is_on_and_what_was() -> None:
    hot, cold = alert("Hot", node="a"), alert("Cold", node="a")
    earlier = msgspec.structs.replace(hot, fired=NOON - timedelta(hours=3))
    ancient = msgspec.structs.replace(hot, fired=NOON - timedelta(days=2))

    told = preview(
        wanted(match("alertname", "=", "Hot")),
        [hot, cold],
        [earlier, earlier, ancient, cold],
        now=NOON,
    )

    assert (told.now, told.last_day, told.names) == ((hot.fingerprint,), 1, ("Hot",))


def test_an_alert_is_explained_by_one_with_equal_labels() -> None:
    rule = Inhibition(
        source=compiled([match("alertname", "=", "NodeDown")]),
        target=compiled([match("severity", "=", "warning")]),
        equal=("node",),
    )
    down = alert("NodeDown", node="a", severity="critical")
    slow = alert("Slow", node="a", severity="warning")
    other = alert("Slow", node="b", severity="warning")
    both = alert("NodeDown", node="c", severity="warning")
    pending = msgspec.structs.replace(down, state="pending")

    assert inhibitors(slow, [down, slow], [rule]) == (down.fingerprint,)
    assert inhibitors(other, [down, other], [rule]) == ()
    assert inhibitors(both, [both], [rule]) == ()
    assert inhibitors(slow, [pending], [rule]) == ()
    assert inhibitors(down, [down, slow], [rule]) == ()
