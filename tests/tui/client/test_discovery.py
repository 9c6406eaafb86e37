"""Which node a command talks to, and what it refuses to believe."""

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import pytest

from nexa_node.contract.errors import Invalid, NotFound
from nexa_node.contract.ids import NodeId
from nexa_node.contract.nodes import NodeFile
from nexa_tui.client.contexts import Context, keep_context, read_contexts, token_file
from nexa_tui.client.discovery import (
    Target,
    announced,
    discover,
    local_nodes,
    normalize,
    sibling,
)


def announce(
    home: Path, name: str, *, pid: int | None = None, started: float | None = None
) -> Path:
    own = psutil.Process()
    file = NodeFile(
        id=NodeId(f"id-{name}"),
        name=name,
        cluster="nexa",
        state="running",
        url="http://127.0.0.1:7001",
        pid=own.pid if pid is None else pid,
        pid_started=own.create_time() if started is None else started,
        version="0.1.0",
        started=datetime(2026, 1, 1, tzinfo=UTC),
        console_protocol=1,
    )
    folder = home / "state" / "node" / name
    folder.mkdir(parents=True)
    (folder / "node.json").write_bytes(msgspec.json.encode(file))
    token = folder / "admin.token"
    token.write_text(f"token-of-{name}\n")
    token.chmod(0o600)
    return folder


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"NEXA_HOME": str(tmp_path)}


def test_nothing_is_found_where_nothing_is(environ: dict[str, str]) -> None:
    assert discover(environ) is None


def test_a_living_node_is_found_with_its_token(
    environ: dict[str, str], tmp_path: Path
) -> None:
    announce(tmp_path, "alpha")

    found = discover(environ)

    assert found is not None
    assert (found.name, found.token, found.pid) == (
        "alpha",
        "token-of-alpha",
        os.getpid(),
    )


@pytest.mark.parametrize(
    ("pid", "started"),
    [(2**22 - 1, None), (None, 1.0)],
    ids=["no process", "pid reused"],
)
def test_a_dead_nodes_announcement_is_not_believed(
    environ: dict[str, str], tmp_path: Path, pid: int | None, started: float | None
) -> None:
    announce(tmp_path, "alpha", pid=pid, started=started)

    assert local_nodes(environ) == []
    assert [node.alive for node in announced(environ)] == [False]


def test_what_the_operator_names_comes_first(
    environ: dict[str, str], tmp_path: Path
) -> None:
    announce(tmp_path, "alpha")
    environ |= {"NEXA_URL": "http://10.0.0.1:1", "NEXA_TOKEN": "t"}

    by_flag = discover(environ, attach="10.0.0.2")
    by_variable = discover(environ)

    assert by_flag is not None
    assert by_flag.url == "http://10.0.0.2:6392"
    assert by_variable is not None
    assert (by_variable.url, by_variable.token) == ("http://10.0.0.1:1", "t")


def test_a_local_nodes_token_is_used_for_its_url(
    environ: dict[str, str], tmp_path: Path
) -> None:
    announce(tmp_path, "alpha")

    found = discover(environ, attach="http://127.0.0.1:7001")

    assert found is not None
    assert found.token == "token-of-alpha"


def test_an_open_token_file_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    folder = announce(tmp_path, "alpha")
    (folder / "admin.token").chmod(0o644)

    with pytest.raises(Invalid, match="readable by other users") as refused:
        discover(environ)
    assert "chmod 600" in str(refused.value.remedy)


def test_a_linked_token_file_is_refused(
    environ: dict[str, str], tmp_path: Path
) -> None:
    folder = announce(tmp_path, "alpha")
    (folder / "admin.token").rename(tmp_path / "elsewhere")
    (folder / "admin.token").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Invalid, match="can't be read"):
        discover(environ)


def test_the_current_context_is_the_last_resort(environ: dict[str, str]) -> None:
    keep_context(
        environ, "prod", Context(url="https://nexa.example", production=True), "s"
    )

    found = discover(environ)

    assert found is not None
    assert (found.url, found.token, found.production) == (
        "https://nexa.example",
        "s",
        True,
    )
    assert token_file(environ, "prod").stat().st_mode & 0o777 == 0o600


def test_an_unknown_context_lists_those_there_are(environ: dict[str, str]) -> None:
    keep_context(environ, "prod", Context(url="https://nexa.example"), None)

    with pytest.raises(NotFound, match="there are: prod"):
        discover(environ, context="prd")


def test_a_context_needs_a_slug(environ: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="can't name a context"):
        keep_context(environ, "../x", Context(url="http://a"), None)


def test_a_broken_contexts_file_is_named(
    environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "config" / "contexts.toml"
    path.parent.mkdir()
    path.write_text("current = 7\n")

    with pytest.raises(Invalid, match=r"contexts\.toml"):
        read_contexts(environ)


def test_a_home_that_is_a_file_holds_no_context(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert discover({"NEXA_HOME": str(tmp_path / "file")}) is None


def test_contexts_that_cant_be_read_are_named(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "config" / "contexts.toml").mkdir(parents=True)

    with pytest.raises(Invalid, match="can't be read"):
        read_contexts(environ)


def test_a_broken_announcement_is_named(
    environ: dict[str, str], tmp_path: Path
) -> None:
    folder = announce(tmp_path, "alpha")
    (folder / "node.json").write_text("{")

    with pytest.raises(Invalid, match=r"node\.json"):
        announced(environ)


def test_a_token_may_come_from_a_file(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("secret\n")
    path.chmod(0o600)
    environ |= {"NEXA_URL": "h:1", "NEXA_TOKEN_FILE": str(path)}

    found = discover(environ)

    assert found is not None
    assert found.token == "secret"


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("host", "http://host:6392"),
        ("host:7000", "http://host:7000"),
        ("https://host", "https://host"),
        ("https://host/nexa/", "https://host/nexa"),
        ("ws://host:1", "http://host:1"),
        ("http://[::1]", "http://[::1]:6392"),
        ("http://[::1]:7", "http://[::1]:7"),
    ],
)
def test_addresses_are_completed(typed: str, url: str) -> None:
    assert normalize(typed) == url


@pytest.mark.parametrize(
    "typed",
    ["ftp://host", "http://", "host:port", "host:99999", "host:0", "a b", "h\x1bost"],
)
def test_no_address_is_refused(typed: str) -> None:
    with pytest.raises(Invalid, match="no address"):
        normalize(typed)


def test_of_a_cluster_whose_node_died_another_one_is_found(
    environ: dict[str, str], tmp_path: Path
) -> None:
    announce(tmp_path, "alpha", pid=2**22 - 3, started=1.0)
    (announce(tmp_path, "beta") / "admin.token").unlink()
    gone = Target(url="http://127.0.0.1:1", token="t", name="alpha", source="a test")
    found = sibling(environ, gone)

    assert found is not None
    assert (found.name, found.token) == ("beta", "t")


def test_nobody_stands_in_for_a_node_that_is_unknown(
    environ: dict[str, str], tmp_path: Path
) -> None:
    announce(tmp_path, "beta")
    gone = Target(url="http://127.0.0.1:1", token="t", name="alpha", source="a test")

    assert sibling(environ, gone) is None
