"""The next version of nexa, for upgrades: everything that is stored or told says more.

A copy of the package in which each record has one more field, which this version does
not know. A node that runs from it writes that field into everything, and finds records
without it.
"""

import ast
import re
import shutil
from pathlib import Path

import nexa_node
import nexa_tui

NEXT = "0.2.0"
_FIELD = (
    '{indent}from_the_future: str = msgspec.field(default_factory=lambda: "some day")\n'
)
_PARTS = (
    "contract/*.py",
    "ports.py",
    "core/join_tokens.py",
    "services/cluster/relay.py",
    "adapters/nats/leases.py",
    "adapters/nats/partials.py",
    "adapters/nats/objects.py",
    "adapters/nats/topology.py",
    "adapters/nats/deliveries.py",
    "adapters/files/membership.py",
)
_STRICT = ("array_like", "forbid_unknown_fields")
"""What a person writes is checked for words that are unknown; records are not."""


def make_next_version(folder: Path) -> Path:
    """Write the next version into `folder`; what to put into PYTHONPATH."""
    for package in (nexa_node, nexa_tui):
        source = Path(package.__path__[0])
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / source.name, ignore=ignored)
    node = folder / "nexa_node"
    version = node / "contract" / "version.py"
    text = version.read_text(encoding="utf-8")
    version.write_text(
        re.sub(r'^VERSION = ".*"', f'VERSION = "{NEXT}"', text, flags=re.MULTILINE),
        encoding="utf-8",
    )
    for pattern in _PARTS:
        for file in node.glob(pattern):
            file.write_text(_more(file.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def _more(source: str) -> str:
    """Add a field to each record of a module."""
    lines = source.splitlines(keepends=True)
    found = [
        each
        for each in ast.walk(ast.parse(source))
        if isinstance(each, ast.ClassDef) and _is_record(each)
    ]
    for record in sorted(found, key=_line, reverse=True):
        fields = [each for each in record.body if isinstance(each, ast.AnnAssign)]
        if not fields:
            continue
        last = fields[-1]
        assert last.end_lineno is not None
        lines.insert(last.end_lineno, _FIELD.format(indent=" " * last.col_offset))
    return "".join(lines)


def _is_record(node: ast.ClassDef) -> bool:
    return any(
        ast.unparse(base) == "msgspec.Struct" for base in node.bases
    ) and not any(word.arg in _STRICT for word in node.keywords)


def _line(node: ast.ClassDef) -> int:
    return node.lineno
