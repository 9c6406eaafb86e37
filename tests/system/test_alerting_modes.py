"""The modes `alertmanager` and `external` on a real node, with the files of `deploy/`."""

import re
import shutil
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexa_tui.client.discovery import Target
from nexa_tui.client.launch import start_node
from tests.node.adapters.probes.servers import program, started
from tests.node.rules.test_builtin import ROOT, RULES
from tests.system.conftest import Shell, environment, stop_all, until

MINE = """
groups:
- name: mine
  interval: 10s
  rules:
  - alert: StoreUp
    expr: max(nexa_node_up) == 1
    labels: {severity: warning, odd: 'x"y≥'}
    annotations: {summary: the store is up}
"""
ACKNOWLEDGED = "ACK! "

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def call(url: str, body: Any = None, method: str | None = None) -> Any:
    """Ask an Alertmanager or a Prometheus."""
    data = None if body is None else msgspec.json.encode(body)
    asked = urllib.request.Request(
        url, data=data, headers={"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return msgspec.json.decode(answer.read() or b"null")


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """Debian's Alertmanager with our configuration; nobody is really told."""
    binary = program("prometheus-alertmanager", package="prometheus-alertmanager")
    text = (ROOT / "deploy/alertmanager/alertmanager.yml").read_text()
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    config = folder / "alertmanager.yml"
    config.write_text(text.replace("127.0.0.1:9000", "127.0.0.1:1"))

    def command(port: int) -> list[str]:
        return [
            binary, f"--config.file={config}", f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        ]  # fmt: skip

    with started(command, folder=folder, ready="Listening on") as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def a_node(home: Path, settings: str) -> Generator[tuple[Shell, Target]]:
    shell = Shell(environment(home))
    (home / "config" / "rules").mkdir(parents=True)
    (home / "config" / "nexa.toml").write_text(settings)
    (home / "config" / "rules" / "mine.yaml").write_text(MINE)
    try:
        yield shell, start_node(shell.environ, flags=("--name", "alpha", "--port", "0"))
    finally:
        stop_all(shell.environ)


def board(shell: Shell) -> dict[str, Any]:
    items = shell("alerts", "list", "--json").json()["items"]
    return {one["name"]: one for one in items}


def held(server: str) -> dict[str, Any]:
    """What an Alertmanager has, by name."""
    found = call(f"{server}/api/v2/alerts")
    return {one["labels"]["alertname"]: one for one in found}


def state(server: str, name: str) -> str:
    return held(server)[name]["status"]["state"]


def test_an_alertmanager_notifies_and_owns_the_silences(
    alertmanager: str, tmp_path: Path
) -> None:
    settings = (
        f'[alerting]\nmode = "alertmanager"\nalertmanagers = ["{alertmanager}"]\n'
    )
    with a_node(tmp_path / "home", settings) as (shell, _):
        wanted = {"StoreUp", "NexaWatchdog"}
        until(lambda: wanted <= held(alertmanager).keys(), "they are pushed", 40)
        mine, theirs = board(shell), held(alertmanager)
        for name in wanted:
            assert theirs[name]["fingerprint"] == mine[name]["fingerprint"]
            assert theirs[name]["labels"] == mine[name]["labels"]

        words = ("StoreUp", "--duration", "1h", "--comment", "an import", "--json")
        made = shell("silences", "add", f"alertname={words[0]}", *words[1:]).json()
        until(lambda: state(alertmanager, "StoreUp") == "suppressed", "silenced there")
        assert held(alertmanager)["StoreUp"]["status"]["silencedBy"] == [made["id"]]
        until(lambda: board(shell)["StoreUp"]["silenced_by"] == [made["id"]], "here")
        assert shell("silences", "expire", made["id"]).code == 0
        until(lambda: state(alertmanager, "StoreUp") == "active", "loud there")
        until(lambda: not board(shell)["StoreUp"]["silenced_by"], "loud here")

        now = datetime.now(UTC)
        other = call(
            f"{alertmanager}/api/v2/silences",
            {
                "matchers": [
                    {"name": "odd", "value": "x.*", "isRegex": True, "isEqual": True}
                ],
                "startsAt": now.isoformat(),
                "endsAt": (now + timedelta(hours=1)).isoformat(),
                "createdBy": "somebody",
                "comment": "made there",
            },
        )["silenceID"]
        until(
            lambda: board(shell)["StoreUp"]["silenced_by"] == [other],
            "a silence made there is one here",
            40,
        )
        assert "made there" in shell("silences").out
        assert shell("silences", "expire", other).code == 0

        acknowledge(shell, alertmanager, "StoreUp")

        (tmp_path / "home/config/rules/mine.yaml").unlink()
        until(lambda: "StoreUp" not in held(alertmanager), "its end is told", 40)


def acknowledge(shell: Shell, server: str, name: str) -> None:
    """Mind an alert, and leave it again: there it is a silence for so long."""
    key = board(shell)[name]["fingerprint"]
    until(lambda: state(server, name) == "active", "nothing hides it", 40)
    assert shell("alerts", "ack", key, "--note", "mine").code == 0
    until(lambda: state(server, name) == "suppressed", "minded there, too", 40)
    (by,) = held(server)[name]["status"]["silencedBy"]
    assert call(f"{server}/api/v2/silence/{by}")["comment"].startswith(ACKNOWLEDGED)
    assert board(shell)[name]["ack"]["note"] == "mine"
    assert not board(shell)[name]["silenced_by"]
    assert shell("alerts", "unack", key).code == 0
    until(lambda: state(server, name) == "active", "nobody minds it", 40)


@contextmanager
def a_prometheus(folder: Path) -> Generator[tuple[str, Callable[[Target, str], None]]]:
    """Debian's Prometheus; the second thing gives it our configuration, for a node."""
    binary = program("prometheus", package="prometheus")
    folder.mkdir()
    (folder / "rules").mkdir()
    shutil.copy(RULES, folder / "rules")
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n")

    def command(port: int) -> list[str]:
        return [
            binary, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle",
            "--rules.alert.resend-delay=1s",
        ]  # fmt: skip

    with started(command, folder=folder, ready="Server is ready to receive") as port:
        url = f"http://127.0.0.1:{port}"

        def use(node: Target, server: str) -> None:
            text = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
            text = text.replace("http://127.0.0.1:6392", node.url)
            text = text.replace("127.0.0.1:9093", server.removeprefix("http://"))
            config.write_text(re.sub(r"\b(15|30)s$", "1s", text, flags=re.MULTILINE))
            call(f"{url}/-/reload", method="POST")

        yield url, use


def test_a_prometheus_evaluates_and_nexa_shows_and_minds(
    alertmanager: str, tmp_path: Path
) -> None:
    folder = tmp_path / "prometheus"
    with a_prometheus(folder) as (url, use):
        settings = (
            f'[alerting]\nmode = "external"\nprometheus = "{url}"\n'
            f'alertmanagers = ["{alertmanager}"]\n'
        )
        with a_node(tmp_path / "home", settings) as (shell, node):
            made = shell("token", "create", "--role", "viewer", "--json").json()
            (folder / "nexa.token").write_text(made["token"])
            use(node, alertmanager)

            until(lambda: "NexaWatchdog" in board(shell), "it is shown", 60)
            until(lambda: "NexaWatchdog" in held(alertmanager), "Prometheus tells", 40)
            mine, theirs = board(shell), held(alertmanager)
            key = mine["NexaWatchdog"]["fingerprint"]
            assert theirs["NexaWatchdog"]["fingerprint"] == key
            assert "StoreUp" not in mine, "nexa evaluates no rules of its own"
            scraped = call(f"{url}/api/v1/query?query=up")["data"]["result"]
            assert [one["metric"]["instance"] for one in scraped] == ["alpha"]
            rules = call(f"{url}/api/v1/rules")["data"]["groups"]
            assert not [
                rule["name"]
                for group in rules
                for rule in group["rules"]
                if rule["health"] == "err"
            ]

            acknowledge(shell, alertmanager, "NexaWatchdog")
