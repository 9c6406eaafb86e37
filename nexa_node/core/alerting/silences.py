"""Silences and inhibition: which alerts nobody is told of, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from nexa_node.contract.alerts import (
    Alert,
    LabelMatcher,
    NewSilence,
    Silence,
    SilencePreview,
)
from nexa_node.contract.errors import Invalid
from nexa_node.core.promql.samples import Matcher, QueryError, matcher, meets

LONGEST = timedelta(days=30)
COMMENT_MAX = 1000
MATCHERS_MAX = 50
DAY = timedelta(days=1)


def compiled(matchers: Iterable[LabelMatcher]) -> tuple[Matcher, ...]:
    """Make matchers ready for use.

    Raises:
        Invalid: One is no regular expression.
    """
    try:
        return tuple(matcher(each.name, each.kind, each.value) for each in matchers)
    except QueryError as error:
        raise Invalid(str(error), details={"field": "matchers"}) from None


def check_silence(wanted: NewSilence, *, now: datetime) -> tuple[datetime, datetime]:
    """See that a silence may be made; when it begins and ends.

    Raises:
        Invalid: It says nothing of alerts, has no reason, or no sensible time.
    """
    if not wanted.comment.strip():
        raise Invalid("a silence needs a comment: why?", details={"field": "comment"})
    if len(wanted.comment) > COMMENT_MAX or len(wanted.matchers) > MATCHERS_MAX:
        raise Invalid(
            f"a comment has at most {COMMENT_MAX} characters, a silence at most"
            f" {MATCHERS_MAX} matchers"
        )
    if all(each.matches("") for each in compiled(wanted.matchers)):
        raise Invalid(
            "it would silence every alert there is: at least one matcher must ask for"
            " something",
            remedy='name an alert: --match alertname="NexaNodeDown"',
            details={"field": "matchers"},
        )
    if not 0 < wanted.duration_s <= LONGEST.total_seconds():
        raise Invalid(
            f"a silence lasts at most {LONGEST.days} days, and more than no time",
            details={"field": "duration_s"},
        )
    starts = max(now, wanted.starts or now)
    return starts, starts + timedelta(seconds=wanted.duration_s)


def is_active(silence: Silence, now: datetime) -> bool:
    """Say whether a silence is in force."""
    return silence.starts <= now < silence.ends


def silences(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> bool:
    """Say whether an alert of these labels is silenced."""
    return meets(labels, matchers)


def preview(
    wanted: NewSilence, on: Iterable[Alert], history: Iterable[Alert], *, now: datetime
) -> SilencePreview:
    """Say what a silence would hide, and would have hidden in the last 24 h."""
    matchers = compiled(wanted.matchers)
    hidden = [
        one for one in on if one.state != "resolved" and meets(one.labels, matchers)
    ]
    past = {
        (one.fingerprint, one.fired): one
        for one in history
        if one.fired is not None
        and now - one.fired <= DAY
        and meets(one.labels, matchers)
    }
    return SilencePreview(
        now=tuple(sorted(one.fingerprint for one in hidden)),
        last_day=len(past),
        names=tuple(sorted({one.name for one in (*hidden, *past.values())})),
    )


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While a source fires, targets with the same `equal` labels are explained by it."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]


def inhibitors(
    alert: Alert, on: Iterable[Alert], rules: Iterable[Inhibition]
) -> tuple[str, ...]:
    """Fingerprints of the alerts that explain `alert`. As Alertmanager does it.

    An alert that is both source and target of a rule never inhibits itself.
    """
    found: set[str] = set()
    others = [one for one in on if one.state in ("firing", "recovering")]
    for rule in rules:
        if not meets(alert.labels, rule.target) or meets(alert.labels, rule.source):
            continue
        found.update(
            one.fingerprint
            for one in others
            if one.fingerprint != alert.fingerprint
            and meets(one.labels, rule.source)
            and all(
                one.labels.get(label, "") == alert.labels.get(label, "")
                for label in rule.equal
            )
        )
    return tuple(sorted(found))
