"""Routes: which alerts go to which receivers, in which groups, how soon.

As Alertmanager's routing tree with one level below the root: the first route that
matches takes an alert, and those after it see it only if that one says `proceed`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nexa_node.contract.alerts import LabelMatcher
from nexa_node.contract.errors import Invalid
from nexa_node.contract.matchers import parse_matcher
from nexa_node.core.policies import RoutePolicy

ALL = "..."
"""In `group_by`: by all labels."""
_ROOT = "{}"
_MINUTE, _HOUR = 60.0, 3600.0

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way from alerts to receivers."""

    key: str
    """As Alertmanager names it: `{}/{severity="critical"}`."""
    receivers: tuple[str, ...]
    matches: Callable[[Labels], bool]
    proceed: bool = False
    group_by: tuple[str, ...] = ("alertname",)
    wait_s: float = 30.0
    interval_s: float = 300.0
    repeat_s: float = 4 * _HOUR
    explicit: bool = True
    """Somebody wrote it down. If not, it takes no alerts of severity none."""
    after_s: float = 0.0
    """Of an escalation: how long nobody acknowledged the alert."""
    level: int = 0
    """Of an escalation: the how many-th it is, from 1."""
    escalates: tuple["Route", ...] = ()

    def group_of(self, labels: Labels) -> dict[str, str]:
        """The labels by which an alert is told together with others."""
        if ALL in self.group_by:
            return dict(labels)
        return {name: labels[name] for name in self.group_by if name in labels}


def routes_of(
    policies: Iterable[RoutePolicy], receivers: Sequence[str], *, below: str = ""
) -> tuple[Route, ...]:
    """Make the routes; without any, everything goes to all receivers.

    Args:
        policies: As they are set.
        receivers: All there are.
        below: Part of every key: alerts of one node never share a group with another's.

    Raises:
        Invalid: A condition can't be read.
    """
    root = _ROOT + below
    made = tuple(_route(one, root) for one in policies)
    if made or not receivers:
        return made
    plain = RoutePolicy(receivers=tuple(receivers))
    return (_route(plain, root, explicit=False),)


def routed(labels: Labels, routes: Iterable[Route], *, silent: bool) -> list[Route]:
    """The routes that an alert takes.

    Args:
        labels: Its labels.
        routes: All there are.
        silent: It is of severity none: it goes only where somebody sent it.
    """
    found: list[Route] = []
    for route in routes:
        if (silent and not route.explicit) or not route.matches(labels):
            continue
        found.append(route)
        if not route.proceed:
            break
    return found


def group_key(route: Route, labels: Labels) -> str:
    """Name a group as Alertmanager does: the route's key, and the labels."""
    return f"{route.key}:{label_set(labels)}"


def label_set(labels: Labels) -> str:
    """Write labels as Prometheus' LabelSet does, sorted and quoted."""
    inner = ", ".join(f"{name}={quoted(text)}" for name, text in sorted(labels.items()))
    return f"{{{inner}}}"


def read_match(text: str) -> LabelMatcher:
    """Read `severity="critical"`, and see that it can be asked of labels.

    Raises:
        Invalid: It is no condition, or its regular expression is none.
    """
    matcher = parse_matcher(text)
    _test(matcher)
    return matcher


def quoted(text: str) -> str:
    """Quote as Go's %q does, for what can be printed."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for raw, shown in (("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        escaped = escaped.replace(raw, shown)
    return f'"{escaped}"'


def _route(policy: RoutePolicy, root: str, *, explicit: bool = True) -> Route:
    matchers = [read_match(text) for text in policy.match]
    key = root
    if matchers:
        told = ",".join(
            f"{one.name}{one.kind}{quoted(one.value)}"
            for one in sorted(matchers, key=lambda one: (one.name, one.value))
        )
        key = f"{root}/{{{told}}}"
    tests = [_test(one) for one in matchers]

    def matches(labels: Labels) -> bool:
        return all(test(labels) for test in tests)

    def made(key: str, receivers: tuple[str, ...], **more: float) -> Route:
        return Route(
            key=key,
            receivers=receivers,
            matches=matches,
            proceed=policy.proceed,
            group_by=policy.group_by,
            wait_s=more.get("wait_s", policy.group_wait_ms / 1000),
            interval_s=policy.group_interval_ms / 1000,
            repeat_s=policy.repeat_hours * _HOUR,
            explicit=explicit,
            after_s=more.get("after_s", 0.0),
        )

    first = made(key, policy.receivers)
    after_s = policy.escalate_after_minutes * _MINUTE
    levels = tuple(
        replace(
            made(
                f'{key}/{{nexa_escalation="{level}"}}',
                (receiver,),
                wait_s=0.0,
                after_s=level * after_s,
            ),
            level=level,
        )
        for level, receiver in enumerate(policy.escalate_to, start=1)
    )
    return replace(first, escalates=levels)


def _test(matcher: LabelMatcher) -> Callable[[Labels], bool]:
    name, value = matcher.name, matcher.value
    if matcher.kind == "=":
        return lambda labels: labels.get(name, "") == value
    if matcher.kind == "!=":
        return lambda labels: labels.get(name, "") != value
    # RE2: the labels come from outside, and no expression may run away. Imported only
    # when there is one.
    from nexa_node.core.promql.samples import QueryError, matcher as compiled

    try:
        expression = compiled(name, matcher.kind, value)
    except QueryError as error:
        raise Invalid(str(error)) from None
    return lambda labels: expression.matches(labels.get(name, ""))
