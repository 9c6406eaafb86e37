"""A node that speaks TLS: commands, contexts, agents by certificate, and who is refused."""

import io
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.certificates import folder_at, write_node_pair
from tests.system.conftest import Shell, end, environment, start_node, stop_all, until

pytestmark = pytest.mark.timeout(120)

ON = ("--set", "tls.mode=on")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell with a node that speaks TLS."""
    made = Shell(environment(tmp_path_factory.mktemp("secure") / "home"))
    start_node(made.environ, flags=("--name", "secure", "--port", "0", *ON))
    yield made
    stop_all(made.environ)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Shell:
    """A shell on another machine: nothing of the node's is there."""
    return Shell(environment(tmp_path / "elsewhere"))


def url(shell: Shell) -> str:
    return str(shell("node", "status", "--json").json()["url"])


def authority(shell: Shell, folder: Path) -> str:
    """The node's authority in a file, as an operator would copy it."""
    path = folder / "ca.pem"
    path.write_text(shell("cert", "ca").out)
    return str(path)


def issued(shell: Shell, folder: Path, role: str, *words: str) -> dict[str, str]:
    """A certificate in files named for its role, and its id."""
    out = str(folder / role)
    told = shell("cert", "issue", "--role", role, "--out", out, "--json", *words).json()
    assert {Path(each).name for each in told["files"]} == {
        f"{role}.key", f"{role}.pem", f"{role}.ca.pem",
    }  # fmt: skip
    return {
        "id": told["id"],
        "NEXA_CA_FILE": f"{out}.ca.pem",
        "NEXA_CERT_FILE": f"{out}.pem",
        "NEXA_KEY_FILE": f"{out}.key",
    }


def test_commands_on_the_same_machine_know_the_node(secure: Shell) -> None:
    assert url(secure).startswith("https://127.0.0.1:")
    assert secure("agents", "list").code == 0
    assert secure("agents", "list", "--attach", url(secure)).code == 0


def test_the_self_test_and_the_figures_tell_how_long_it_lasts(secure: Shell) -> None:
    told = secure("selftest", "--only", "node.certificate", "--json").json()
    (row,) = [one for one in told["checks"] if one["id"] == "node.certificate"]
    asked = 'nexa_certificate_expiry_timestamp_seconds{cert="api"} - time() > 0'

    assert row["status"] == "pass"
    assert row["detail"].startswith("89 days left")
    assert "renewed on" in row["detail"]
    until(lambda: "api" in secure("metrics", asked).out, "it is recorded")


def test_elsewhere_it_is_trusted_by_its_authority_only(
    secure: Shell, elsewhere: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = url(secure)
    token = secure("token", "create", "--role", "viewer", "--json").json()["token"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(token + "\n"))
    stranger = elsewhere("login", there)
    monkeypatch.setattr(sys, "stdin", io.StringIO(token + "\n"))
    known = elsewhere(
        "login", there, "--ca", authority(secure, tmp_path), "--name", "c"
    )

    assert stranger.code == 3
    assert "of an authority that is not trusted here" in stranger.err
    assert "nexa login URL --ca ca.pem" in stranger.err
    assert known.code == 0, known.err
    assert elsewhere("agents", "list").code == 0
    assert "pinned" in elsewhere("context", "list").out
    kept = elsewhere.home / "config/trust/c.ca.pem"
    assert kept.read_text().strip() == secure("cert", "ca").out.strip()
    assert elsewhere("cert", "ca").out == secure("cert", "ca").out
    assert elsewhere("context", "remove", "c").code == 0
    assert not kept.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("https", "http"), "this port speaks TLS, and the call came without"),
        (("127.0.0.1", "127.0.0.2"), "no node answers"),
    ],
)
def test_whoever_calls_it_wrongly_is_told_how(
    secure: Shell, elsewhere: Shell, change: tuple[str, str], says: str
) -> None:
    told = elsewhere("agents", "list", "--attach", url(secure).replace(*change))

    assert told.code != 0
    assert says in told.err


def test_somebody_logs_in_by_a_certificate_and_renews_it(
    secure: Shell, elsewhere: Shell, tmp_path: Path
) -> None:
    made = issued(secure, tmp_path, "operator", "--name", "ann")
    told = elsewhere(
        *("login", url(secure), "--ca", made["NEXA_CA_FILE"], "--name", "mine"),
        *("--cert", made["NEXA_CERT_FILE"], "--key", made["NEXA_KEY_FILE"], "--json"),
    )
    refused = elsewhere("token", "create", "--role", "viewer")
    before = Path(made["NEXA_CERT_FILE"]).read_bytes()
    trusting = Shell({**elsewhere.environ, "NEXA_CA_FILE": made["NEXA_CA_FILE"]})
    renewed = trusting("cert", "renew", made["NEXA_CERT_FILE"], "--attach", url(secure))

    assert told.json()["whoami"] == f"token:{made['id']}"
    assert (refused.code, "lacks tokens:create" in refused.err) == (4, True)
    assert renewed.code == 0, renewed.err
    assert Path(made["NEXA_CERT_FILE"]).read_bytes() != before
    assert Path(made["NEXA_KEY_FILE"]).stat().st_mode & 0o777 == 0o600
    assert made["id"] in secure("cert", "list").out
    assert elsewhere("agents", "list").code == 0


def test_an_agent_by_certificate_works_until_it_is_revoked(
    secure: Shell, elsewhere: Shell, tmp_path: Path
) -> None:
    made = issued(secure, tmp_path, "agent", "--namespace", "default")
    agent = Shell(elsewhere.environ).spawn(
        *("agent", "run", "--id", "certified", "--capability", "echo"),
        *("--url", url(secure), "--ca", made["NEXA_CA_FILE"]),
        *("--cert", made["NEXA_CERT_FILE"], "--key", made["NEXA_KEY_FILE"]),
        *("--", "cat"),
    )
    try:
        until(lambda: secure.connected("certified"), "it is there")
        done = secure("task", "submit", "echo", "--data", "1", "--wait")
        assert done.code == 0, done.err
        assert secure("cert", "revoke", made["id"]).code == 0
        until(lambda: agent.poll() is not None, "it is told, and ends", 10)
        assert agent.returncode == 4
    finally:
        said = end(agent)

    assert "revoked" in said


@pytest.mark.slow
def test_a_certificate_of_ones_own_is_shown_and_taken_anew(tmp_path: Path) -> None:
    shell = Shell(environment(tmp_path / "own"))
    theirs = folder_at(tmp_path / "theirs", now=datetime.now(UTC))
    signing = theirs.authority("nodes")
    assert signing is not None
    hosts = ("nexa.example",)
    now = datetime.now(UTC)
    pem, key, _ = write_node_pair(tmp_path / "port", signing, hosts=hosts, now=now)
    files = ("--set", f"tls.cert_file={pem}", "--set", f"tls.key_file={key}")
    key.chmod(0o644)
    refused = shell("node", "start", "--name", "own", "--port", "0", *ON, *files)
    key.chmod(0o600)
    try:
        started = shell("node", "start", "--name", "own", "--port", "0", *ON, *files)
        soon = shell("selftest", "--only", "node.certificate", "--json").json()
        number = int(url(shell).rpartition(":")[2])
        first = ssl.get_server_certificate(("127.0.0.1", number))
        write_node_pair(
            tmp_path / "port", signing, hosts=hosts, now=now, length=timedelta(days=90)
        )
        until(
            lambda: ssl.get_server_certificate(("127.0.0.1", number)) != first,
            "it shows the new one",
        )
        later = shell("selftest", "--only", "node.certificate", "--json").json()
        listed = shell("agents", "list")
        foreign = shell(
            "cert", "issue", "--role", "viewer", "--out", str(tmp_path / "v")
        )
    finally:
        stop_all(shell.environ)

    assert refused.code == 1
    assert f"the key {key} can be read by other users" in refused.err
    assert f"chmod 600 {key}" in refused.err
    assert started.code == 0, started.err
    (warned,) = soon["checks"]
    (passed,) = later["checks"]
    assert (warned["status"], passed["status"]) == ("warn", "pass")
    assert "cert_file" in warned["remedy"]
    assert listed.code == 0, listed.err
    assert foreign.code == 0, foreign.err
    assert not (tmp_path / "v.ca.pem").exists()  # the nodes' authority is not ours
