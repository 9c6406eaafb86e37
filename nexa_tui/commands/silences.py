"""`nexa silences`: alerts of which nobody is to be told for a while."""

from datetime import UTC, datetime
from urllib.parse import quote

from nexa_node.contract.alerts import NewSilence, Silence, SilencePreview
from nexa_node.contract.matchers import read_matchers, written
from nexa_node.contract.rest import Page
from nexa_tui.commands.arguments import Parser, choose_verb, seconds
from nexa_tui.commands.output import Call, Cell, clean
from nexa_tui.commands.reach import add_target_options, reach

_VERBS = ("list", "add", "expire")
_SHOWN = 20


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb("silences", arguments, _VERBS, default="list")
    return {"list": _list, "add": _add, "expire": _expire}[verb](rest, call)


def _list(arguments: list[str], call: Call) -> int:
    parser = Parser("silences list", "Silences in force and to come; those that ended.")
    parser.add_argument(
        "--all", action="store_true", help="those that are over, too: five days"
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        page = node.get("/v1/silences", Page[Silence])
    now = datetime.now(UTC)
    items = [one for one in page.items if options.all or one.ends > now]
    if options.json:
        call.json({"items": items, "next_cursor": None})
        return 0
    call.table(
        ("ID", "STATE", "ENDS", "BY", "ALERTS", "COMMENT"),
        [_row(silence, now) for silence in items],
        empty="no alert is silenced",
    )
    return 0


def _row(silence: Silence, now: datetime) -> tuple[str | Cell, ...]:
    if silence.ends <= now:
        state = Cell("over", "dim")
    else:
        state = Cell("to come" if silence.starts > now else "in force", "warn")
    return (
        silence.id,
        state,
        f"{silence.ends:%Y-%m-%d %H:%M}Z",
        silence.by,
        ", ".join(written(one) for one in silence.matchers),
        silence.comment[:80],
    )


def _add(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "silences add",
        "Silence alerts whose labels meet all conditions.",
        epilog="conditions: alertname=NexaQueueBacklog queue=~'wc|sum' team!=web,"
        " or as PromQL has them: '{alertname=\"NexaQueueBacklog\"}'",
    )
    parser.add_argument("matchers", nargs="+", metavar="MATCHER")
    parser.add_argument("--duration", type=seconds, required=True, metavar="SPAN")
    parser.add_argument("--comment", required=True, metavar="TEXT", help="why")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what it would hide, and do nothing"
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    wanted = NewSilence(
        matchers=read_matchers(options.matchers),
        comment=options.comment,
        duration_s=int(options.duration),
    )
    with reach(options, call) as node:
        if options.dry_run:
            preview = node.post("/v1/silences/preview", SilencePreview, body=wanted)
            return _tell_preview(preview, call, json=options.json)
        made = node.post("/v1/silences", Silence, body=wanted)
    if options.json:
        call.json(made)
    else:
        call.line(f"silenced until {made.ends:%Y-%m-%d %H:%M} UTC")
        call.note(f"to end it: nexa silences expire {made.id}")
    return 0


def _tell_preview(preview: SilencePreview, call: Call, *, json: bool) -> int:
    if json:
        call.json(preview)
        return 0
    call.line(
        f"it would hide {len(preview.now)} alerts that are on now, and would have hidden"
        f" {preview.last_day} that fired in the last 24 h"
    )
    for name in preview.names[:_SHOWN]:
        call.line(f"  {clean(name)}")
    if not preview.now and not preview.last_day:
        call.note("no alert meets these conditions: are they what you mean?")
    return 0


def _expire(arguments: list[str], call: Call) -> int:
    parser = Parser("silences expire", "End a silence before its time.")
    parser.add_argument("id", metavar="ID")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        node.delete(f"/v1/silences/{quote(options.id, safe='')}")
    if options.json:
        call.json({"id": options.id, "expired": True})
    else:
        call.line(f"{clean(options.id)} has ended")
    return 0
