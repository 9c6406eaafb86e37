"""The settings as text: a commented example, and a list of what is in force."""

import ast
import inspect
import re
from typing import Any, cast

import msgspec

from nexa_node.adapters.files.config import LISTED, Loaded, sections
from nexa_node.contract.nodes import Setting
from nexa_node.core import policies
from nexa_node.core.policies import Policy


def example() -> str:
    """Write every setting with its default and its reason, all commented out."""
    lines = [
        "# nexa's settings. Every value below is the default; take the # away to change",
        "# one. NEXA_<SECTION>_<KEY> in the environment, and flags, come before this file.",
    ]
    for name, kind in sections().items():
        listed = name in LISTED
        lines += [
            "",
            *_comment(inspect.getdoc(kind) or ""),
            f"# [[{name}]]" if listed else f"[{name}]",
        ]
        reasons = _reasons(kind)
        for field in msgspec.structs.fields(kind):
            lines += _comment(reasons.get(field.name, ""), indent="  ")
            lines.append(f"# {field.encode_name} = {_toml(_default(field))}")
    return "\n".join(lines) + "\n"


def listing(loaded: Loaded) -> list[dict[str, Any]]:
    """List what is in force: key, value, and where it came from."""
    rows: list[dict[str, Any]] = []
    built: dict[str, Any] = msgspec.to_builtins(loaded.settings)
    for section, values in built.items():
        listed = section in LISTED
        tables: list[dict[str, Any]] = values if listed else [values]
        for number, table in enumerate(tables):
            prefix = f"{section}.{number}" if listed else section
            for key, value in table.items():
                dotted = f"{prefix}.{key}"
                origin = loaded.origins.get(dotted, "default")
                rows.append({"key": dotted, "value": value, "origin": origin})
    return rows


def settings_told(loaded: Loaded) -> tuple[Setting, ...]:
    """`listing`, as it is told over the network: passwords in addresses are masked."""
    return tuple(
        Setting(key=row["key"], value=_masked(row["value"]), origin=row["origin"])
        for row in listing(loaded)
    )


_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _USERINFO.sub("***@", value)
    if isinstance(value, list):
        return [_masked(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {key: _masked(one) for key, one in table.items()}
    return value


def _reasons(kind: type[Policy]) -> dict[str, str]:
    """The string under each field, read from the source."""
    tree = ast.parse(inspect.getsource(policies))
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.name != kind.__name__:
            continue
        for field, after in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                found[field.target.id] = inspect.cleandoc(str(after.value.value))
    return found


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _comment(text: str, *, indent: str = "") -> list[str]:
    return [f"#{indent} {line}".rstrip() for line in text.splitlines()]
