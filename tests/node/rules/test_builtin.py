"""The rules that come with nexa: every one tested, by Prometheus and by ours alike."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from nexa_node.core.alerting.inhibition import BUILTIN
from nexa_node.core.alerting.linting import catalogue, lint
from nexa_node.core.alerting.rehearsal import playing, script
from nexa_node.core.alerting.rules import load
from nexa_node.core.alerting.ruling import is_local, unreachable
from tests.node.core.promql.prometheus import installed

ROOT = Path(__file__).parents[3]
RULES = ROOT / "nexa_node/rules/builtin.yaml"
FILES = sorted((ROOT / "tests/rules").glob("*.yaml"))
GROUPS = load(RULES.read_text(), file="builtin")
ALERTS = {rule.name: rule for group in GROUPS for rule in group.rules if rule.alerts}
SCRIPTS = {file.stem: script.load(file.read_text(), file=file.name) for file in FILES}
CASES = [(name, test) for name, each in SCRIPTS.items() for test in each.tests]


def test_every_alert_is_tested() -> None:
    tested = {check.alertname for _, test in CASES for check in test.alert_rule_test}
    assert tested == set(ALERTS)


@pytest.mark.parametrize(("file", "test"), CASES, ids=[test.name for _, test in CASES])
def test_an_alert_comes_once_and_goes_once(file: str, test: script.Test) -> None:
    on: list[bool] = []
    pending: list[bool] = []

    def watch(_: float, rule: str, active: object) -> None:
        if rule == test.name:
            assert isinstance(active, dict)
            on.append(any(one.is_on for one in active.values()))
            pending.append(any(one.condition == "pending" for one in active.values()))

    missed = playing.play(SCRIPTS[file], test, GROUPS, file=file, watch=watch)

    assert not missed
    changes = sum(
        before != after for before, after in zip([False, *on], on, strict=False)
    )
    always = test.name == "NexaWatchdog"
    assert changes == (1 if always else 2), "it flaps, or never comes or goes"
    assert any(pending) == (ALERTS[test.name].for_s > 0)


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_prometheus_says_the_same(file: Path, tmp_path: Path) -> None:
    if not installed() or shutil.which("promtool") is None:
        pytest.skip("there is no promtool, and Debian's can't be installed here")
    rules = yaml.safe_load(RULES.read_text())
    wanted = [one for one in rules["groups"] if one["name"] == f"nexa-{file.stem}"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": wanted}))
    tests = file.read_text().replace("../../nexa_node/rules/builtin.yaml", "rules.yaml")
    (tmp_path / "tests.yaml").write_text(tests)

    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "tests.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_file() -> None:
    if not installed():
        pytest.skip("there is no promtool, and Debian's can't be installed here")
    subprocess.run(
        ["promtool", "check", "rules", RULES], check=True, capture_output=True
    )


def test_no_selector_matches_nothing() -> None:
    known = catalogue((RULES.parent / "catalogue.txt").read_text())
    assert lint(GROUPS, known) == ()
    assert unreachable(GROUPS) == []


def test_every_alert_says_what_it_is() -> None:
    for name, rule in ALERTS.items():
        assert rule.labels["severity"] in {"critical", "warning", "info", "none"}
        assert rule.annotations["summary"]
        assert rule.annotations["description"]
        assert rule.annotations["runbook_url"] == f"nexa://runbook/{name}"


def test_what_must_work_without_the_cluster_is_every_nodes_own() -> None:
    local = {name for name, rule in ALERTS.items() if is_local(rule)}
    assert local == {
        "NexaStoreDown", "NexaQuorumLost", "NexaClockSkew", "NexaDiskFillingSoon",
        "NexaDiskCritical", "NexaEventLoopLag", "NexaEventLoopBlocked",
    }  # fmt: skip
    for name in local:
        assert "nexa:" not in ALERTS[name].text, "what is recorded is the cluster's"


def test_what_inhibits_is_an_alert_there_is() -> None:
    named = {
        text.split("=", 1)[1].strip('"')
        for policy in BUILTIN
        for text in policy.source
        if text.startswith("alertname=")
    }
    told_otherwise = {"NexaRuleFailing", "NexaMaintenance", "NexaTokenBudgetExhausted"}
    assert named - told_otherwise <= set(ALERTS)
