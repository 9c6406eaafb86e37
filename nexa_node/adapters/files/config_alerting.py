"""What the settings of alerting must mean: receivers, routes, modes."""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from email.utils import parseaddr
from urllib.parse import urlsplit

from nexa_node.contract.errors import Invalid
from nexa_node.contract.ids import is_slug
from nexa_node.core.alerting.notifying.routes import ALL, read_match
from nexa_node.core.policies import (
    AlertingPolicy,
    InhibitPolicy,
    ReceiverPolicy,
    RoutePolicy,
)
from nexa_node.settings import Settings

Refuse = Callable[[str, str], None]
"""Given a dotted key and why: raises."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = "alertmanager"
_NEEDS = {
    "email": ("server", "sender", "to"),
    "slack": ("url_file",),
    "pagerduty": ("token_file",),
    "webhook": (),
}
_TAKES: dict[str, frozenset[str]] = {
    "url": frozenset(("webhook", "pagerduty")),
    "url_file": frozenset(("webhook", "slack")),
    "token_file": frozenset(("webhook", "pagerduty")),
    "server": frozenset(("email",)),
    "sender": frozenset(("email",)),
    "to": frozenset(("email",)),
    "username": frozenset(("email", "webhook")),
    "password_file": frozenset(("email", "webhook")),
}


def check_alerting(settings: Settings, refuse: Refuse) -> None:
    """Refuse what is well-formed and means nothing; `refuse` says where."""
    _check_mode(settings, refuse)
    names: list[str] = []
    for number, receiver in enumerate(settings.receivers):
        where = f"receiver.{number}"
        _check_name(receiver.name, names, f"{where}.name", refuse)
        if receiver.name == _RESERVED:
            refuse(f"{where}.name", f"'{_RESERVED}' is no name of a receiver")
        _check_receiver(receiver, where, refuse)
    for number, route in enumerate(settings.routes):
        _check_route(route, names, f"route.{number}", refuse)
    for number, inhibit in enumerate(settings.inhibits):
        _check_inhibit(inhibit, f"inhibit.{number}", refuse)
    watchdogs: list[str] = []
    for number, watchdog in enumerate(settings.watchdogs):
        _check_name(watchdog.name, watchdogs, f"watchdog.{number}.name", refuse)


def _check_mode(settings: Settings, refuse: Refuse) -> None:
    policy: AlertingPolicy = settings.alerting
    if policy.mode == "alertmanager" and not policy.alertmanagers:
        refuse("alerting.mode", "alertmanager needs the URLs in alertmanagers")
    if policy.mode == "external" and not policy.prometheus:
        refuse("alerting.mode", "external needs the URL in prometheus")
    if policy.mode != "embedded" and settings.receivers:
        why = f"in mode {policy.mode} the Alertmanager notifies: set receivers up there"
        refuse("receiver.0.name", why)
    for url in policy.alertmanagers:
        _check_url(url, "alerting.alertmanagers", refuse)
    for key in ("prometheus", "external_url", "runbook_base_url"):
        if url := str(getattr(policy, key)):
            _check_url(url, f"alerting.{key}", refuse)
    if policy.username and not policy.password_file:
        refuse("alerting.username", "it needs a password_file")


def _check_receiver(receiver: ReceiverPolicy, where: str, refuse: Refuse) -> None:
    _check_keys(receiver, where, refuse)
    if receiver.token_file and receiver.password_file:
        refuse(f"{where}.token_file", "there is a password_file already")
    if receiver.username and not receiver.password_file:
        refuse(f"{where}.username", "it needs a password_file")
    if receiver.kind == "email":
        _check_mail(receiver, where, refuse)
    for key in ("per_minute", "timeout_ms"):
        if getattr(receiver, key) < 1:
            refuse(f"{where}.{key}", "it must be at least 1")
    if receiver.retry_hours < 0:
        refuse(f"{where}.retry_hours", "it must not be negative")


def _check_keys(receiver: ReceiverPolicy, where: str, refuse: Refuse) -> None:
    """Each kind of receiver has the keys it needs, and none of another."""
    kind = receiver.kind
    for key, kinds in _TAKES.items():
        if getattr(receiver, key) and kind not in kinds:
            known = ", ".join(sorted(kinds))
            refuse(f"{where}.{key}", f"a receiver of kind {kind} has none; {known} do")
    for key in _NEEDS[kind]:
        if not getattr(receiver, key):
            refuse(f"{where}.kind", f"a receiver of kind {kind} needs {key}")
    if kind == "webhook" and bool(receiver.url) == bool(receiver.url_file):
        refuse(f"{where}.kind", "a webhook needs either url or url_file")
    if receiver.url:
        _check_url(receiver.url, f"{where}.url", refuse)


def _check_mail(receiver: ReceiverPolicy, where: str, refuse: Refuse) -> None:
    if receiver.tls == "none" and receiver.password_file:
        refuse(f"{where}.tls", "a password is never sent without encryption")
    try:
        parts = urlsplit(f"//{receiver.server}")
        fits = bool(parts.hostname) and parts.port is not None and "@" not in parts[1]
    except ValueError:
        fits = False
    if not fits:
        refuse(f"{where}.server", f"'{receiver.server}' is no host:port")
    for key, addresses in (("sender", (receiver.sender,)), ("to", receiver.to)):
        for address in addresses:
            if "@" not in parseaddr(address)[1] or not address.isprintable():
                refuse(f"{where}.{key}", f"'{address}' is no address")


def _check_route(
    route: RoutePolicy, names: Sequence[str], where: str, refuse: Refuse
) -> None:
    if not route.receivers:
        refuse(f"{where}.receivers", "a route needs at least one receiver")
    _check_known(route.receivers, names, f"{where}.receivers", refuse)
    _check_known(route.escalate_to, names, f"{where}.escalate_to", refuse)
    for text in route.match:
        try:
            read_match(text)
        except Invalid as error:
            refuse(f"{where}.match", error.message)
    for label in route.group_by:
        if label != ALL and not _LABEL.fullmatch(label):
            refuse(f"{where}.group_by", f"'{label}' is no name of a label")
    if route.group_wait_ms < 0:
        refuse(f"{where}.group_wait_ms", "it must not be negative")
    if route.group_interval_ms < 1:
        refuse(f"{where}.group_interval_ms", "it must be at least 1")
    for key in ("repeat_hours", "escalate_after_minutes"):
        if getattr(route, key) <= 0:
            refuse(f"{where}.{key}", "it must be more than 0")


def _check_inhibit(inhibit: InhibitPolicy, where: str, refuse: Refuse) -> None:
    for key, conditions in (("source", inhibit.source), ("target", inhibit.target)):
        if not conditions:
            refuse(f"{where}.{key}", "it needs at least one condition")
        for text in conditions:
            try:
                read_match(text)
            except Invalid as error:
                refuse(f"{where}.{key}", error.message)
    for label in inhibit.equal:
        if not _LABEL.fullmatch(label):
            refuse(f"{where}.equal", f"'{label}' is no name of a label")


def _check_known(
    wanted: Sequence[str], names: Sequence[str], where: str, refuse: Refuse
) -> None:
    for name in wanted:
        if name in names:
            continue
        like = get_close_matches(name, names, n=1, cutoff=0.4)
        there = ", ".join(names) or "none"
        hint = f"did you mean '{like[0]}'?" if like else f"there are: {there}"
        refuse(where, f"'{name}' is no receiver; {hint}")


def _check_name(name: str, seen: list[str], where: str, refuse: Refuse) -> None:
    if not is_slug(name):
        refuse(where, f"'{name}' is no slug (a-z, 0-9, - and _)")
    if name in seen:
        refuse(where, f"there are two named '{name}'")
    seen.append(name)


def _check_url(url: str, where: str, refuse: Refuse) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname)
        fits = fits and parts.username is None and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        refuse(where, "it is no http or https URL, or holds a password")
