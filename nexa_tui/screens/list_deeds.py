"""What can be done with any list: written to a file, with the command that tells the same."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from nexa_node.contract.errors import NexaError
from nexa_tui.client.exports import write_export
from nexa_tui.screens.cluster_deeds import Office
from nexa_tui.screens.lists import ListView
from nexa_tui.screens.logs import LogView
from nexa_tui.state.exporting import table_csv
from nexa_tui.state.text import clean

KINDS = ("csv", "json")
COMMANDS: Mapping[str, str] = {
    "agents": "nexa agents list",
    "tasks": "nexa task list",
    "nodes": "nexa cluster status",
    "alerts": "nexa alerts list",
    "alert-history": "nexa alerts history",
    "silences": "nexa silences list",
    "rules": "nexa rules list",
    "audit": "nexa audit list",
    "tokens": "nexa token list",
    "roles": "nexa role list",
    "namespaces": "nexa namespace list",
    "events": "nexa events",
    "dead-letters": "nexa dead-letters list",
    "clusters": "nexa context list",
}
"""What tells the same on the command line."""


def export(office: Office, view: object, kind: str) -> None:
    """Write what a view shows to a file, and say where and what tells the same."""
    kind = kind.strip().lower() or "csv"
    if kind not in KINDS:
        office.tell(
            f"no kind of file: {clean(kind, 20)}; csv or json", severity="warning"
        )
        return
    if not isinstance(view, ListView | LogView):
        office.tell("there is no list here to export", severity="warning")
        return
    shown = cast("ListView[Any] | LogView", view)
    session = office.session
    try:
        path = write_export(
            session.options.environ,
            f"nexa-{shown.place}",
            kind,
            _text(shown, kind),
            now=session.clock.utc(),
        )
    except NexaError as error:
        office.tell(clean(error.message, 300), severity="error")
        return
    office.tell(f"written to {path}; as a command: {equivalent(shown)} --json")


def equivalent(view: "ListView[Any] | LogView") -> str:
    """The command that tells what a view shows."""
    own = getattr(view, "equivalent", None)
    return str(own()) if own is not None else COMMANDS.get(view.place, "nexa")


def _text(view: "ListView[Any] | LogView", kind: str) -> str:
    if isinstance(view, ListView):
        return view.exported(kind)
    rows = view.exported()
    if kind == "csv":
        return table_csv(rows)
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"
