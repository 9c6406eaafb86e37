"""T12: an audit of dependencies that skips, or asks nobody, is never told as a good one.

The gate itself is `.ci/supply.py`; in place of pip-audit stands a program that answers as
pip-audit does: with faults, with none, with packages it skipped, with an index that does
not answer. A binary that was altered: tests/node/adapters/nats/test_binary.py.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FAULT = {"name": "requests", "version": "2.19.0", "vulns": [{"id": "CVE-2018-18074"}]}
CLEAN = {"name": "requests", "version": "2.19.0", "vulns": []}
SKIPPED = {"name": "requests", "skip_reason": "not found on the index"}


@pytest.fixture(scope="module")
def supply() -> ModuleType:
    spec = importlib.util.spec_from_file_location("supply", ROOT / ".ci/supply.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def auditor(folder: Path, planted: Any, locked: Any = None) -> Path:
    """A folder with a `pip-audit` that answers so for what is planted, and so for the rest."""
    answers = {
        name: (
            [int(bool(one.get("vulns"))), json.dumps({"dependencies": [one]})]
            if isinstance(one, dict)
            else [1, str(one)]
        )
        for name, one in (("planted.txt", planted), ("constraints.txt", locked or CLEAN))
    }  # fmt: skip
    program = folder / "pip-audit"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        f"code, said = {answers!r}[pathlib.Path(sys.argv[-1]).name]\n"
        "print(said)\nsys.exit(code)\n"
    )
    program.chmod(0o700)
    return folder


def test_faults_that_were_planted_are_seen_and_the_rest_is_clean(
    supply: ModuleType, tmp_path: Path
) -> None:
    assert supply.audit(auditor(tmp_path, FAULT), must=True) == "clean"


def test_who_finds_nothing_in_what_is_planted_looks_at_nothing(
    supply: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(supply.Failed, match="it looks at nothing"):
        supply.audit(auditor(tmp_path, CLEAN), must=False)


def test_faults_in_what_is_locked_are_told(supply: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(supply.Failed, match="CVE-2018-18074"):
        supply.audit(auditor(tmp_path, FAULT, FAULT), must=False)


@pytest.mark.parametrize("answer", [SKIPPED, "ConnectionError: nobody is there"])
def test_who_asked_nobody_says_so_and_fails_where_it_must_not(
    supply: ModuleType,
    tmp_path: Path,
    answer: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tools = auditor(tmp_path, answer)

    assert supply.audit(tools, must=False) == "not checked"
    assert "NOT CHECKED" in capsys.readouterr().out
    with pytest.raises(supply.Failed, match="--must-audit"):
        supply.audit(tools, must=True)


def test_a_failure_of_its_own_is_no_verdict(supply: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(supply.Failed, match="pip-audit failed"):
        supply.audit(auditor(tmp_path, "Traceback: something else"), must=False)
