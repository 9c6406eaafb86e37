"""`nexa audit`: who did what, and whether that is still as it was written."""

import argparse

from nexa_node.contract.audit import AuditRecord, AuditVerdict
from nexa_node.contract.rest import Page
from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import EXIT_FAILED, Call, Cell, clean
from nexa_tui.commands.reach import add_target_options, reach

_STYLES = {"done": "ok", "begun": "dim", "denied": "bad", "failed": "warn"}
_PAGE = 1000


def run(arguments: list[str], call: Call) -> int:
    """List, verify or export the audit."""
    verbs = {"list": _list, "verify": _verify, "export": _export}
    verb, rest = choose_verb("audit", arguments, tuple(verbs), default="list")
    return verbs[verb](rest, call)


def _list(arguments: list[str], call: Call) -> int:
    parser = Parser("audit list", "What was done, on all nodes: the newest last.")
    _add_filters(parser)
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--cursor", metavar="CURSOR")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        page = node.get(
            "/v1/audit",
            Page[AuditRecord],
            query={
                **_filters(options),
                "limit": options.limit,
                "cursor": options.cursor,
            },
        )
    if options.json:
        call.json(page)
        return 0
    call.table(
        ("TIME", "NODE", "OUTCOME", "WHO", "FROM", "WHAT", "ON", "WHY"),
        [_row(record) for record in reversed(page.items)],
        empty="nothing was done yet",
    )
    if page.next_cursor is not None:
        call.note(f"what was before: nexa audit list --cursor {page.next_cursor}")
    return 0


def _verify(arguments: list[str], call: Call) -> int:
    parser = Parser(
        "audit verify",
        "Read every node's chain and compare it with what the others keep of it.",
        epilog="Exit 1 if a record was edited, cut out, moved or computed anew.",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        verdict = node.get("/v1/audit/verify", AuditVerdict)
    if options.json:
        call.json(verdict)
    elif verdict.status == "ok":
        call.line(
            f"{verdict.records:,} records are as they were written;"
            f" {verdict.checkpoints} checkpoints agree"
            + (
                f", and what {verdict.witnesses} other nodes heard"
                if verdict.witnesses
                else ""
            )
        )
    elif verdict.status == "incomplete":
        call.line(
            f"{verdict.records:,} records are whole; {clean(verdict.reason, 500)}"
        )
    else:
        call.line(
            f"BROKEN: {clean(verdict.chain)}, record {verdict.first_bad}:"
            f" {clean(verdict.reason, 500)}",
            "bad",
        )
    return 0 if verdict.status == "ok" else EXIT_FAILED


def _export(arguments: list[str], call: Call) -> int:
    parser = Parser("audit export", "Every record as a line of JSON, the newest first.")
    _add_filters(parser)
    add_target_options(parser)
    options = parser.parse_args(arguments)
    cursor: str | None = None
    with reach(options, call) as node:
        while True:
            page = node.get(
                "/v1/audit",
                Page[AuditRecord],
                query={**_filters(options), "limit": _PAGE, "cursor": cursor},
            )
            for record in page.items:
                call.json(record)
            cursor = page.next_cursor
            if cursor is None:
                return 0


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--event", metavar="PREFIX", help="authn_ finds all of them")
    parser.add_argument("--actor", metavar="WHO", help="token:ID, or a name")
    parser.add_argument("--outcome", choices=("done", "denied", "failed", "begun"))
    parser.add_argument("--on", metavar="WHAT", dest="resource", help="part of a path")
    parser.add_argument("--on-node", metavar="NODE", dest="node_name")
    parser.add_argument("--address", metavar="IP", help="of the caller")
    parser.add_argument("--text", metavar="WORD", help="a part of any field")
    parser.add_argument("--since", metavar="TIME", help="2026-03-01T12:00:00Z")


def _filters(options: argparse.Namespace) -> dict[str, str | None]:
    return {
        "event": options.event,
        "actor": options.actor,
        "outcome": options.outcome,
        "resource": options.resource,
        "node": options.node_name,
        "address": options.address,
        "text": options.text,
        "since": options.since,
    }


def _row(record: AuditRecord) -> tuple[str | Cell, ...]:
    entry = record.entry
    return (
        f"{entry.time:%Y-%m-%d %H:%M:%S}Z",
        clean(record.chain.partition("/")[0], 40),
        Cell(entry.outcome, _STYLES.get(entry.outcome, "dim")),
        clean(entry.name or entry.actor or "nobody", 40),
        clean(entry.address, 45),
        clean(entry.event, 60),
        clean(entry.resource, 120),
        clean(entry.reason, 200),
    )
