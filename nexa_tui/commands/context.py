"""`nexa context`: choose among clusters."""

from nexa_node.contract.errors import NotFound
from nexa_tui.client.contexts import (
    Contexts,
    forget_files,
    read_contexts,
    trust_of_context,
    write_contexts,
)
from nexa_tui.commands.arguments import Parser, choose_verb
from nexa_tui.commands.output import Call


def run(arguments: list[str], call: Call) -> int:
    """Do one of the verbs."""
    verb, rest = choose_verb(
        "context", arguments, ("list", "use", "remove"), default="list"
    )
    return {"list": _list, "use": _use, "remove": _remove}[verb](rest, call)


def _list(arguments: list[str], call: Call) -> int:
    parser = Parser("context list", "List the clusters that are kept.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    known = read_contexts(call.environ)
    if options.json:
        items = [
            {"name": name, "url": one.url, "current": name == known.current}
            for name, one in sorted(known.context.items())
        ]
        call.json({"items": items})
        return 0
    call.table(
        ("", "CONTEXT", "URL", "MARKS"),
        [
            (
                "*" if name == known.current else "",
                name,
                one.url,
                " ".join(
                    word
                    for word, on in (
                        ("production", one.production),
                        ("read-only", one.read_only),
                        ("pinned", bool(trust_of_context(call.environ, name).ca)),
                    )
                    if on
                ),
            )
            for name, one in sorted(known.context.items())
        ],
        empty="no contexts. Keep one: nexa login URL --name NAME",
    )
    return 0


def _use(arguments: list[str], call: Call) -> int:
    parser = Parser("context use", "Make a context the current one.")
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    known = _known_with(options.name, call)
    write_contexts(call.environ, Contexts(current=options.name, context=known.context))
    call.line(f"commands now talk to {options.name}, {known.context[options.name].url}")
    return 0


def _remove(arguments: list[str], call: Call) -> int:
    parser = Parser("context remove", "Forget a context and its token.")
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    known = _known_with(options.name, call)
    rest = {name: one for name, one in known.context.items() if name != options.name}
    current = "" if known.current == options.name else known.current
    write_contexts(call.environ, Contexts(current=current, context=rest))
    forget_files(call.environ, options.name)
    call.line(f"{options.name} is forgotten")
    return 0


def _known_with(name: str, call: Call) -> Contexts:
    known = read_contexts(call.environ)
    if name not in known.context:
        have = ", ".join(sorted(known.context)) or "none"
        raise NotFound(
            f"no context '{name}' (there are: {have})", remedy="nexa login URL"
        )
    return known
