"""Every threat of docs/security.md has tests, and those that are named there exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/security.md"
THREATS = [f"T{number}" for number in range(1, 20)]
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def table() -> dict[str, list[str]]:
    """The rows of the table of threats, by their number."""
    rows: dict[str, list[str]] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"T\d+", cells[0]):
            assert cells[0] not in rows, f"{cells[0]} stands there twice"
            rows[cells[0]] = cells
    return rows


def functions_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_threat_has_a_row() -> None:
    assert list(table()) == THREATS


@pytest.mark.parametrize("number", THREATS)
def test_what_proves_it_exists(number: str) -> None:
    _, threat, holds, proofs = table()[number]
    named = _NAMED.findall(proofs)

    assert threat
    assert holds
    assert named, f"{number} is proved by nothing"
    assert len(named) == proofs.count("`") // 2, "write each as `path::test`"
    for path, name in named:
        assert (ROOT / path).is_file(), path
        assert name in functions_of(ROOT / path), f"{path} has no {name}"
