"""Make what the documents take from the code: `python docs/make.py`.

Writes docs/nexa.v1.schema.json, and in the pages named below whatever stands between
`<!-- made: NAME -->` and `<!-- /made -->`. A test fails when it was not run.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexa_node.contract import errors, frames, schema
from nexa_node.core.exposition import Histogram

FOLDER = Path(__file__).parent
PAGES = ("protocol.md", "metrics.md")
_MADE = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- /made -->)", re.DOTALL)

Document = dict[str, Any]


def methods() -> str:
    """The table of methods."""
    rows = [
        "| method | direction | parameters | result |",
        "| --- | --- | --- | --- |",
    ]
    for method, (params, result) in frames.METHODS.items():
        told = "any JSON" if result is frames.Json else _link(result.__name__)
        rows.append(
            f"| `{method}` | agent → node | {_link(params.__name__)} | {told} |"
        )
    for method, (params, result) in frames.NODE_METHODS.items():
        told = _link(result.__name__) if result else "none: a notification"
        rows.append(
            f"| `{method}` | node → agent | {_link(params.__name__)} | {told} |"
        )
    return "\n".join(rows)


def refusals() -> str:
    """The table of errors."""
    rows = ["| code | reason | retryable | HTTP |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {one.code} | {one.reason} | {'yes' if one.retryable else 'no'} "
        f"| {one.status} |"
        for one in errors.APPLICATION_ERRORS
    ]
    return "\n".join(rows)


def structs() -> str:
    """Every Struct: what it is, and a table of its members."""
    made = schema.schema()["$defs"]
    known = schema.structs()
    return "\n\n".join(
        _struct(name, body) for name, body in made.items() if name in known
    )


def metrics() -> str:
    """The table of metrics: of all parts that measure, moved once each for their labels."""
    sys.path.insert(0, str(FOLDER.parent))
    from tests.node.services.metrics.moving import MOVES, Rig

    rig = Rig()
    for move in MOVES.values():
        move(rig)
    rows = ["| metric | kind | labels | |", "| --- | --- | --- | --- |"]
    for name, family in sorted(rig.families().items()):
        children = family.series if isinstance(family, Histogram) else family.samples
        labels = " ".join(
            f"`{label}`" for label in (children[0].labels if children else ())
        )
        kind = type(family).__name__.lower()
        rows.append(f"| `{name}` | {kind} | {labels} | {_one_line(family.help)} |")
    return "\n".join(rows)


MAKERS: dict[str, Callable[[], str]] = {
    "methods": methods,
    "errors": refusals,
    "structs": structs,
    "metrics": metrics,
}


def page(text: str) -> str:
    """Fill in what is made.

    Raises:
        KeyError: A marker names nothing that can be made.
    """
    return _MADE.sub(
        lambda found: f"{found[1]}\n{MAKERS[found[2]]()}\n\n{found[3]}", text
    )


def _struct(name: str, body: Document) -> str:
    needed = set(body.get("required", ()))
    rows = [f"#### {name}", "", _one_line(body.get("description", ""))]
    if body["properties"]:
        rows += ["", "| member | type | default | |", "| --- | --- | --- | --- |"]
    for member, kind in body["properties"].items():
        default = "required" if member in needed else _default(kind)
        told = _one_line(kind.get("description", ""))
        rows.append(f"| `{member}` | {_shown(kind)} | {default} | {told} |")
    return "\n".join(rows)


def _shown(kind: Document) -> str:
    """Say a type in words."""
    if kind.get("format") == "date-time":
        return "time, RFC 3339"
    if "anyOf" in kind:
        parts = [_shown(each) for each in kind["anyOf"] if each != {"type": "null"}]
        return " or ".join(parts)
    if "$ref" in kind:
        return _link(kind["$ref"].rpartition("/")[2])
    if "enum" in kind:
        return " ".join(f"`{each}`" for each in kind["enum"])
    if kind.get("type") == "array":
        return f"list of {_shown(kind.get('items', {}))}"
    if kind.get("type") == "object":
        values: Document | None = kind.get("additionalProperties")
        return f"object of {_shown(values)}" if values else "object"
    return str(kind.get("type", "any JSON"))


def _default(kind: Document) -> str:
    value = kind.get("default")
    if value is None:
        return "none"
    if isinstance(value, dict) and "anyOf" not in kind and "$ref" not in kind:
        return "`{}`"
    if isinstance(value, dict | list):
        return "its own" if value else "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write them."""
    for name in PAGES:
        document = FOLDER / name
        document.write_text(page(document.read_text()))
    (FOLDER / "nexa.v1.schema.json").write_text(schema.text())


if __name__ == "__main__":
    main()
