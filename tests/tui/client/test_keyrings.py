"""Tokens in the system's keyring, where one is safe; else in files of mode 0600."""

import importlib
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexa_node.contract.errors import Invalid
from nexa_tui.client import contexts

MODULE = """
class Backend:
    kept = {}
    trouble = None
    def set_password(self, service, account, token):
        if self.trouble: raise RuntimeError(self.trouble)
        self.kept[service, account] = token
    def get_password(self, service, account):
        if self.trouble: raise RuntimeError(self.trouble)
        return self.kept.get((service, account))
    def delete_password(self, service, account):
        del self.kept[service, account]
class PlaintextKeyring(Backend): pass
class FailKeyring(Backend): pass
class ChainerBackend(Backend):
    backends = (PlaintextKeyring(), Backend())
current = Backend()
def get_keyring(): return current
"""
URL = "http://127.0.0.1:1"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"NEXA_HOME": str(tmp_path / "home")}


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A package `keyring` that can be imported, with a backend that keeps."""
    (tmp_path / "keyring.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    yield importlib.import_module("keyring")
    sys.modules.pop("keyring", None)


def keep(environ: dict[str, str], token: str = "nxa_secret") -> None:
    contexts.keep_context(environ, "prod", contexts.Context(url=URL), token)


def in_file(environ: dict[str, str]) -> bool:
    path = contexts.token_file(environ, "prod")
    if not path.exists():
        return False
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert contexts.kept_in(environ, "prod") == str(path)
    return True


def test_a_token_is_in_the_keyring_and_nowhere_else(
    ring: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    keep(environ)

    assert not in_file(environ)
    assert contexts.kept_in(environ, "prod") == "the system's keyring"
    assert contexts.find_context(environ, "prod")[1] == "nxa_secret"
    files = [one for one in (tmp_path / "home").rglob("*") if one.is_file()]
    assert not [one for one in files if b"nxa_secret" in one.read_bytes()]

    contexts.keep_login(environ, "prod", "nxa_next", until=None)
    assert contexts.find_context(environ, "prod")[1] == "nxa_next"
    contexts.forget_files(environ, "prod")
    assert ring.current.kept == {}
    contexts.forget_files(environ, "prod")


def test_two_homes_do_not_share_a_context(
    ring: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    other = {"NEXA_HOME": str(tmp_path / "other")}
    keep(environ, "nxa_one")
    keep(other, "nxa_two")

    assert contexts.find_context(environ, "prod")[1] == "nxa_one"
    assert len(ring.current.kept) == 2


@pytest.mark.parametrize("unsafe", ["PlaintextKeyring", "FailKeyring"])
def test_a_keyring_that_is_none_is_not_used(
    ring: Any, environ: dict[str, str], unsafe: str
) -> None:
    ring.current = getattr(ring, unsafe)()
    keep(environ)
    assert in_file(environ)


def test_of_several_the_first_safe_one_is_used(
    ring: Any, environ: dict[str, str]
) -> None:
    ring.current = ring.ChainerBackend()
    keep(environ)
    assert not in_file(environ)
    ring.current.backends = (ring.PlaintextKeyring(),)
    keep(environ)
    assert in_file(environ)


def test_it_can_be_switched_off_and_a_locked_one_is_no_obstacle(
    ring: Any, environ: dict[str, str]
) -> None:
    keep({**environ, "NEXA_KEYRING": "off"})
    assert in_file(environ)
    ring.current.trouble = "locked"
    keep(environ)
    assert in_file(environ)


def test_a_token_whose_keyring_is_away_is_told_with_what_to_do(
    ring: Any, environ: dict[str, str]
) -> None:
    keep(environ)
    ring.current.trouble = "locked"
    with pytest.raises(Invalid, match="can't be read: locked") as caught:
        contexts.find_context(environ, "prod")
    assert "nexa login URL --name prod" in str(caught.value.remedy)
    with pytest.raises(Invalid, match="not here"):
        contexts.find_context({**environ, "NEXA_KEYRING": "0"}, "prod")


def test_without_the_package_tokens_are_in_files(environ: dict[str, str]) -> None:
    keep({**environ, "NEXA_KEYRING": "no"})
    assert in_file(environ)
