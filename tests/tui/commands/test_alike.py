"""A command says so when a name only looks like another, before it is done."""

import argparse
import io
from datetime import UTC, datetime

import pytest

from nexa_node.contract.errors import Invalid
from nexa_node.contract.plans import Plan
from nexa_tui.commands import asking
from nexa_tui.commands.output import Call
from nexa_tui.commands.planning import tell_plan

WHAT = "revoke the token аdmin"  # its first letter is Cyrillic
FLAG = "! аdmin mixes alphabets: а Cyrillic, dmin Latin."


def call() -> tuple[Call, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Call(environ={}, out=out, err=err), out, err


def test_a_plan_flags_it() -> None:
    plan = Plan(
        id="plan-1",
        action="tokens:revoke",
        target="x",
        what=WHAT,
        effects=(),
        expires=datetime(2026, 1, 1, tzinfo=UTC),
    )
    here, out, _ = call()

    tell_plan(plan, argparse.Namespace(json=False), here, ["nexa", "token", "revoke"])

    assert FLAG in out.getvalue()


def test_who_is_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    here, _, err = call()

    with pytest.raises(Invalid, match="nothing was done"):
        asking.confirm(WHAT, (), here)

    assert FLAG in err.getvalue()
