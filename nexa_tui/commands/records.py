"""What the list and show verbs of all nouns have in common: one call, one answer, told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from nexa_node.contract.ids import is_slug
from nexa_node.contract.rest import Page
from nexa_tui.client.rest import Rest
from nexa_tui.commands.arguments import Parser, Usage
from nexa_tui.commands.output import Call, Cell, pretty
from nexa_tui.commands.reach import add_target_options, reach

T = TypeVar("T")
_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[T]):
    """One list verb: what it asks for, and how it tells it."""

    command: str
    """Noun and verb: `agents list`."""
    about: str
    path: str
    page: type[Page[T]]
    titles: tuple[str, ...]
    row: Callable[[T, datetime], Sequence[str | Cell]]
    """The cells of one record, and the time to tell ages by."""
    empty: str
    """What to do when there is none."""
    filters: tuple[str, ...] = ()
    """Options that narrow the list, each of one value."""


def list_records(listed: Listed[T], arguments: list[str], call: Call) -> int:
    """Ask for one page of records and print it."""
    parser = Parser(listed.command, listed.about)
    for name in listed.filters:
        parser.add_argument(f"--{name}", metavar=name.upper())
    parser.add_argument("--limit", type=int, default=_LIMIT)
    parser.add_argument("--cursor", metavar="CURSOR", help="where the last page ended")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    names = (*listed.filters, "limit", "cursor")
    query = {name: getattr(options, name) for name in names}
    with reach(options, call) as node:
        page = node.get(listed.path, listed.page, query=query)
    if options.json:
        call.json(page)
        return 0
    now = datetime.now(UTC)
    rows = [listed.row(one, now) for one in page.items]
    call.table(listed.titles, rows, empty=listed.empty)
    if page.next_cursor:
        more = f"nexa {listed.command} --cursor {page.next_cursor}"
        call.note(f"there are more: {more}")
    return 0


def on_record(
    command: str,
    about: str,
    arguments: list[str],
    call: Call,
    *,
    ask: Callable[[Rest, str], T],
    tell: Callable[[T, Call], None] | None = None,
) -> int:
    """Do something with one record, and tell what came of it.

    Args:
        command: Noun and verb: `task cancel`.
        about: One sentence for the help.
        arguments: The record's id, and the usual options.
        call: Where to speak.
        ask: Asks the node; its second argument is the id, safe in a path.
        tell: Tells the answer to a person; all of it as JSON if not given.
    """
    parser = Parser(command, about)
    parser.add_argument("id")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    with reach(options, call) as node:
        told = ask(node, checked_id(options.id))
    if options.json:
        call.json(told)
    elif tell is None:
        call.line(pretty(told))
    else:
        tell(told, call)
    return 0


def checked_id(text: str) -> str:
    """Let pass what may be an id, and stand in a path.

    Raises:
        Usage: It is none.
    """
    if not is_slug(text):
        raise Usage(
            f"{text[:80]!a} is no id",
            remedy="ids are lower-case letters, digits, - and _, at most 63",
        )
    return text
