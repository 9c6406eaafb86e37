"""`nexa alerts`: what is wrong, who minds it, what became of it."""

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from nexa_node.contract.alerts import (
    SEVERITIES,
    Alert,
    AlertChange,
    AlertDetail,
    AlertState,
    Handover,
    NewAck,
    NewNote,
    only_resting,
)
from nexa_node.contract.errors import Conflict, NotFound
from nexa_node.contract.rest import Page
from nexa_tui.client.rest import Rest
from nexa_tui.commands.alert_card import tell_detail
from nexa_tui.commands.arguments import Parser, Usage, choose_verb, seconds
from nexa_tui.commands.output import Call, Cell, age, clean
from nexa_tui.commands.reach import add_target_options, reach
from nexa_tui.commands.runbooks import packaged

_VERBS = (
    "list", "show", "runbook", "ack", "unack", "note", "dismiss", "history", "handover",
)  # fmt: skip
SHIFT = "8h"
_FINGERPRINT = re.compile(r"[0-9a-f]{4,16}")
_NAME = re.compile(r"[A-Z]\w{0,99}", re.ASCII)
_WHOLE = 16
STYLES = {
    "critical": "bad",
    "error": "bad",
    "warning": "warn",
    "info": "accent",
    "none": "dim",
    "firing": "bad",
    "recovering": "warn",
    "pending": "warn",
    "resolved": "good",
}


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb("alerts", arguments, _VERBS, default="list")
    do = {
        "list": _list,
        "show": _show,
        "runbook": _runbook,
        "ack": _ack,
        "unack": _unack,
        "note": _note,
        "dismiss": _dismiss,
        "history": _history,
        "handover": _handover,
    }
    return do[verb](rest, call)


def _list(arguments: list[str], call: Call) -> int:
    parser = Parser("alerts list", "The alerts on the board, what needs you first.")
    parser.add_argument("--state", choices=get_args(AlertState))
    parser.add_argument("--severity", choices=SEVERITIES)
    parser.add_argument("--name", metavar="NAME")
    parser.add_argument(
        "--match", metavar="MATCHERS", help="conditions on labels: 'team=~\"a|b\"'"
    )
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--cursor", metavar="CURSOR")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    names = ("state", "severity", "name", "match", "limit", "cursor")
    with reach(options, call) as node:
        page = node.get(
            "/v1/alerts",
            Page[Alert],
            query={name: getattr(options, name) for name in names},
        )
    if options.json:
        call.json(page)
        return 0
    now = datetime.now(UTC)
    call.table(
        ("FINGERPRINT", "SEVERITY", "STATE", "ALERT", "SINCE", "WHOSE", "WHAT"),
        [_row(alert, now) for alert in page.items],
        empty="no alert is on the board",
    )
    if page.next_cursor:
        call.note(f"there are more: nexa alerts list --cursor {page.next_cursor}")
    return 0


def _row(alert: Alert, now: datetime) -> tuple[str | Cell, ...]:
    return (
        alert.fingerprint,
        Cell(alert.severity, STYLES[alert.severity]),
        Cell(condition(alert), STYLES[alert.state]),
        alert.name,
        age(alert.since, now),
        handling(alert),
        alert.annotations.get("summary", "")[:100],
    )


def condition(alert: Alert) -> str:
    """An alert's state, with what is peculiar about it."""
    words = [alert.state]
    if alert.unseen:
        words.append("unseen")
    if alert.flapping:
        words.append(f"flapping {alert.changes}x")
    return ", ".join(words)


def handling(alert: Alert) -> str:
    """Who minds an alert, or why nobody has to."""
    if alert.ack is not None:
        return alert.ack.by
    if alert.silenced_by:
        return "maintenance" if only_resting(alert.silenced_by) else "silenced"
    if alert.inhibited_by:
        return "inhibited"
    if alert.escalated is not None:
        return "nobody, escalated"
    return "-"


def _show(arguments: list[str], call: Call) -> int:
    parser = _parser("show", "One alert: its evidence, history and runbook.")
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        return tell_detail(node, _whole(node, options.fingerprint), options, call)


def _runbook(arguments: list[str], call: Call) -> int:
    parser = Parser("alerts runbook", "What to do about an alert: its runbook alone.")
    parser.add_argument(
        "fingerprint",
        metavar="ALERT",
        help="a fingerprint; or a name, which needs no node that answers",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    if _NAME.fullmatch(options.fingerprint):
        return packaged(options.fingerprint, call, as_json=options.json)
    with reach(options, call) as node:
        key = _whole(node, options.fingerprint)
        told = node.get(f"/v1/alerts/{key}", AlertDetail)
    if options.json:
        call.json({"fingerprint": key, "name": told.alert.name, "text": told.runbook})
    elif not told.runbook:
        raise NotFound(
            f"the rule of {clean(told.alert.name)} names no runbook",
            remedy="runbook_url: nexa://runbook/NAME among its annotations does",
        )
    for line in () if options.json else told.runbook.splitlines():
        call.line(clean(line, 500))
    return 0


def _ack(arguments: list[str], call: Call) -> int:
    parser = _parser("ack", "Mind an alert, until it is over or gets worse.")
    parser.add_argument("--note", default="", metavar="TEXT")
    parser.add_argument(
        "--duration", type=seconds, metavar="SPAN", help="only for so long: 2h"
    )
    options = parser.parse_args(arguments)
    span = None if options.duration is None else int(options.duration)
    body = NewAck(note=options.note, duration_s=span)
    return _post(options, call, "ack", body)


def _unack(arguments: list[str], call: Call) -> int:
    parser = _parser("unack", "Take an acknowledgement back.")
    return _post(parser.parse_args(arguments), call, "unack", None)


def _note(arguments: list[str], call: Call) -> int:
    parser = _parser("note", "Write something down about an alert.")
    parser.add_argument("text", metavar="TEXT")
    options = parser.parse_args(arguments)
    return _post(options, call, "note", NewNote(text=options.text))


def _dismiss(arguments: list[str], call: Call) -> int:
    parser = _parser("dismiss", "Take one that fired and cleared unseen off the board.")
    return _post(parser.parse_args(arguments), call, "dismiss", None)


def _post(options: argparse.Namespace, call: Call, what: str, body: Any) -> int:
    with reach(options, call) as node:
        key = _whole(node, options.fingerprint)
        alert = node.post(f"/v1/alerts/{key}/{what}", Alert, body=body)
    if options.json:
        call.json(alert)
        return 0
    said = {
        "ack": f"{alert.ack.by if alert.ack else 'somebody'} has it",
        "unack": "nobody has it",
        "note": "noted",
        "dismiss": "dismissed",
    }
    call.line(f"{clean(alert.name)}: {clean(said[what])}")
    return 0


def _history(arguments: list[str], call: Call) -> int:
    parser = Parser("alerts history", "What became of alerts, the newest last.")
    parser.add_argument("fingerprint", nargs="?", metavar="FINGERPRINT")
    parser.add_argument("--name", metavar="NAME")
    parser.add_argument(
        "--since", type=seconds, metavar="SPAN", help="the last 12h, 7d …"
    )
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--cursor", metavar="CURSOR")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    since = None
    if options.since is not None:
        moment = datetime.now(UTC) - timedelta(seconds=options.since)
        since = moment.isoformat()
    if options.fingerprint is not None and len(options.fingerprint) != _WHOLE:
        raise Usage(
            f"{options.fingerprint[:40]!a} is no fingerprint",
            remedy="16 hexadecimal digits, as nexa alerts list tells them",
        )
    query = {
        "fingerprint": options.fingerprint,
        "name": options.name,
        "since": since,
        "limit": options.limit,
        "cursor": options.cursor,
    }
    with reach(options, call) as node:
        page = node.get("/v1/alerts/history", Page[AlertChange], query=query)
    if options.json:
        call.json(page)
        return 0
    call.table(
        ("TIME", "SEVERITY", "ALERT", "FINGERPRINT", "WHAT", "BY", "TEXT"),
        [_line(change) for change in reversed(page.items)],
        empty="nothing has become of any alert yet",
    )
    if page.next_cursor:
        call.note(f"older ones: nexa alerts history --cursor {page.next_cursor}")
    return 0


def _line(change: AlertChange) -> tuple[str | Cell, ...]:
    return (
        f"{change.time:%Y-%m-%d %H:%M:%S}Z",
        Cell(change.severity, STYLES[change.severity]),
        change.name,
        change.fingerprint,
        Cell(change.change, STYLES.get(change.change)),
        change.by or "-",
        change.text[:100],
    )


def _handover(arguments: list[str], call: Call) -> int:
    parser = Parser("alerts handover", "What one shift tells the next, as Markdown.")
    parser.add_argument(
        "--since", type=seconds, default=seconds(SHIFT), metavar="SPAN",
        help=f"how long the shift was; {SHIFT} by default",
    )  # fmt: skip
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        told = node.get(
            "/v1/alerts/handover", Handover, query={"since_s": int(options.since)}
        )
    if options.json:
        call.json(told)
        return 0
    for line in told.text.splitlines():
        call.line(clean(line, 2000))
    return 0


def _parser(verb: str, about: str) -> Parser:
    parser = Parser(f"alerts {verb}", about)
    parser.add_argument(
        "fingerprint", metavar="FINGERPRINT", help="or so much of it that it is one"
    )
    add_target_options(parser)
    return parser


def _whole(node: Rest, text: str) -> str:
    """Find the one alert whose fingerprint begins so.

    Raises:
        Usage: It can be the beginning of none.
        NotFound, Conflict: None of the board begins so, or several do.
    """
    if not _FINGERPRINT.fullmatch(text):
        raise Usage(
            f"{text[:40]!a} is no fingerprint",
            remedy="4 to 16 hexadecimal digits: nexa alerts list",
        )
    if len(text) == _WHOLE:
        return text
    page = node.get("/v1/alerts", Page[Alert], query={"limit": 1000})
    found = [one.fingerprint for one in page.items if one.fingerprint.startswith(text)]
    if len(found) > 1:
        raise Conflict(
            f"{len(found)} alerts begin with {text}", remedy="give more of it"
        )
    if not found:
        raise NotFound(
            f"no alert on the board begins with {text}", remedy="nexa alerts list"
        )
    return found[0]
