"""Alerts from the operator's side: real nodes, real rules, kill -9."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Shell, environment, stop_all, until
from tests.system.town import Town

RULES = """
groups:
- name: mine
  interval: 10s
  rules:
  - alert: StoreUp
    expr: max(nexa_node_up) == 1
    labels: {{severity: warning}}
    annotations:
      summary: the store is up <b>
  - alert: Slow
    expr: max(nexa_node_up) == 1
    for: {wait}
    labels: {{severity: critical}}
  - alert: Here
    expr: nexa_node_up == 1
    labels: {{severity: info}}
    annotations: {{nexa_local: "true"}}
"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def rule(home: Path, wait: str = "40s") -> None:
    folder = home / "config" / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(RULES.format(wait=wait))


def alerts(shell: Shell) -> dict[str, Any]:
    """By name; those of one node's own rules by name and node."""
    items = shell("alerts", "list", "--json").json()["items"]
    return {
        f"{one['name']}@{one['labels']['instance']}"
        if one["name"] == "Here"
        else one["name"]: one
        for one in items
    }


def test_a_rule_fires_and_somebody_minds_it(tmp_path: Path) -> None:
    shell = Shell(environment(tmp_path))
    rule(tmp_path)
    try:
        assert shell("node", "start", "--name", "alpha", "--port", "0").code == 0
        found = until(lambda: alerts(shell).get("StoreUp"), "it fires", 30)
        key = found["fingerprint"]
        assert (found["state"], found["severity"]) == ("firing", "warning")
        assert found["labels"]["alertname"] == "StoreUp"
        assert alerts(shell)["Slow"]["state"] == "pending"
        assert alerts(shell)["Here@alpha"]["state"] == "firing"

        assert shell("alerts", "ack", key[:8], "--note", "mine").code == 0
        assert alerts(shell)["StoreUp"]["ack"]["note"] == "mine"
        assert shell("alerts", "note", key, "an import").code == 0
        shown = shell("alerts", "show", key)
        assert "max(nexa_node_up) == 1" in shown.out
        assert "an import" in shown.out
        assert "\x1b" not in shown.out
        detail = until(
            lambda: shell("alerts", "show", key, "--json").json()["evidence"],
            "evidence is kept",
        )
        assert detail["series"][0]["labels"]["__name__"] == "nexa_node_up"
        history = shell("alerts", "history", key, "--json").json()["items"]
        assert [one["change"] for one in history] == ["noted", "acknowledged", "firing"]
        assert shell("alerts", "unack", key).code == 0

        quiet = ("silences", "add", "alertname=StoreUp", "--duration", "1h")
        planned = shell(*quiet, "--comment", "a test", "--dry-run", "--json").json()
        assert (planned["now"], planned["names"]) == ([key], ["StoreUp"])
        made = shell(*quiet, "--comment", "a test", "--json").json()
        until(lambda: alerts(shell)["StoreUp"]["silenced_by"] == [made["id"]], "quiet")
        assert made["id"] in shell("silences").out
        assert shell("silences", "expire", made["id"]).code == 0
        until(lambda: not alerts(shell)["StoreUp"]["silenced_by"], "loud again")

        assert "StoreUp" in shell("alerts", "handover", "--since", "1h").out
        (tmp_path / "config/rules/mine.yaml").unlink()
        until(lambda: alerts(shell)["StoreUp"]["state"] == "resolved", "over", 30)
        assert alerts(shell)["StoreUp"]["unseen"]
        assert shell("alerts", "dismiss", key).code == 0

        assert shell("alerts", "show", "0" * 16).code == 5
        assert shell("alerts", "show", "nothing").code == 2
        assert shell("alerts", "ack", key, "--duration", "soon").code == 2
        assert shell("silences", "add", "nothing", "--duration", "1h").code == 2
        assert shell("silences", "expire", "nobody").code == 5
    finally:
        stop_all(shell.environ)


@pytest.mark.slow
def test_a_controller_is_killed_and_no_alert_is_lost_or_fires_twice(town: Town) -> None:
    for name in ("alpha", "beta", "gamma"):
        rule(town_home(town, name))
    alpha = town.found("alpha")
    beta, gamma = town.join("beta", "alpha"), town.join("gamma", "alpha")
    until(lambda: town.copies("alpha") == {3}, "three copies of everything", 40)
    shells = {"alpha": alpha, "beta": beta, "gamma": gamma}
    until(lambda: "Slow" in alerts(gamma), "it pends", 30)
    own = {f"Here@{name}" for name in shells}
    until(lambda: own <= alerts(alpha).keys(), "each node's own is everybody's", 30)
    before = alerts(gamma)
    assert before["Slow"]["state"] == "pending"
    key = before["StoreUp"]["fingerprint"]
    assert gamma("alerts", "ack", key, "--note", "night shift").code == 0
    holder = town.status("gamma")["controller"]

    town.kill(holder)

    left = [shell for name, shell in shells.items() if name != holder]
    until(lambda: alerts(left[0])["Slow"]["state"] == "firing", "it fires", 60)
    for shell in left:
        found = until(
            lambda shell=shell: (
                alerts(shell) if alerts(shell)["Slow"]["state"] == "firing" else None
            ),
            "everybody knows",
        )
        assert found["Slow"]["since"] == before["Slow"]["since"]
        assert found["Slow"]["times"] == 1
        assert found["StoreUp"]["ack"]["note"] == "night shift"
        assert found["StoreUp"]["times"] == 1
        lines = shell("alerts", "history", "--name", "Slow", "--json").json()["items"]
        assert [one["change"] for one in lines] == ["firing", "pending"]
        events = shell("events", "--kind", "alert.fired", "--json").json()["items"]
        fired = [one for one in events if one["message"].startswith("StoreUp")]
        assert len(fired) == 1


@pytest.mark.slow
def test_a_node_without_a_quorum_shows_what_it_finds_itself(town: Town) -> None:
    town.found("alpha")
    beta = town.join("beta", "alpha")
    rule(beta.home)
    town.kill("alpha")

    def own() -> Any:
        found = alerts(beta).get("Here@beta")
        return found if found and found["state"] == "firing" else None

    found = until(own, "beta's own alert", 60)
    acked = beta("alerts", "ack", found["fingerprint"], "--json")
    assert acked.json()["ack"] is not None
    assert "StoreUp" not in alerts(beta)


def town_home(town: Town, name: str) -> Path:
    return town._folder / name
