"""The rules that come with nexa: every one tested, by Prometheus and by ours alike."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nexa_node.core.alerting.evaluation import points_of
from nexa_node.core.alerting.inhibition import BUILTIN
from nexa_node.core.alerting.life import Active
from nexa_node.core.alerting.linting import catalogue, lint
from nexa_node.core.alerting.rehearsal import playing, script
from nexa_node.core.alerting.rules import load
from nexa_node.core.alerting.ruling import is_local, unreachable
from nexa_node.core.promql.evaluate import evaluate
from nexa_node.core.promql.samples import Budget, Matcher, Series, Source
from tests.node.core.promql.prometheus import installed

ROOT = Path(__file__).parents[3]
RULES = ROOT / "nexa_node/rules/builtin.yaml"
FILES = sorted((ROOT / "tests/rules").glob("*.yaml"))
GROUPS = load(RULES.read_text(), file="builtin")
ALERTS = {rule.name: rule for group in GROUPS for rule in group.rules if rule.alerts}
SCRIPTS = {file.stem: script.load(file.read_text(), file=file.name) for file in FILES}
CASES = [(name, test) for name, each in SCRIPTS.items() for test in each.tests]
AT_THRESHOLD = " at its threshold"
SLOW = {test.name.removesuffix(AT_THRESHOLD) for test in SCRIPTS["threshold"].tests}
"""Alerts with a test of their own about that."""
ONE_WAY = {
    "NexaWatchdog": "it always fires",
    "NexaVersionSkew": "it is over at once, and an hour must pass before it is back",
    "NexaCertificateExpiring": "time goes one way until the certificate is another one",
    "NexaCertificateExpiringCritical": "the same",
    "NexaSelfTestStale": "an age goes one way until the check is run",
    "NexaHeartbeatUndelivered": "an age goes one way until a call arrives",
    "NexaWatchdogSilent": "the same",
}
"""Alerts that can't waver at their threshold, and why."""


def test_every_alert_is_tested() -> None:
    tested = {check.alertname for _, test in CASES for check in test.alert_rule_test}
    assert tested == set(ALERTS)


@dataclass(frozen=True)
class Course:
    """What one alert did in one test, moment by moment."""

    meant: list[bool]
    """Whether its expression gave it, if it did not already fire: without hysteresis."""
    pending: list[bool]
    on: list[bool]

    @property
    def wavers(self) -> int:
        """How often it stopped being meant and was again, all while it fired."""
        return sum(
            again and not before and on
            for before, again, on in zip(
                self.meant, self.meant[1:], self.on[:-1], strict=False
            )
        )


def played(file: str, test: script.Test) -> Course:
    """Play a test; all of its checks must hold."""
    found = Course([], [], [])
    rule = ALERTS[subject(test)]

    def watch(
        at_s: float, told: str, active: Mapping[str, Active], samples: Source
    ) -> None:
        if told == rule.name:
            found.on.append(any(one.is_on for one in active.values()))
            found.pending.append(
                any(one.condition == "pending" for one in active.values())
            )
            given = any(one.condition != "recovering" for one in active.values())
            if given and "ALERTS" in rule.text:
                moment = np.array([round(at_s * 1000)], np.int64)
                value = evaluate(rule.expression, Calm(samples), moment, Budget())
                given = bool(points_of(value))
            found.meant.append(given)

    assert not playing.play(SCRIPTS[file], test, GROUPS, file=file, watch=watch)
    return found


class Calm:
    """Samples as if no alert fired."""

    def __init__(self, samples: Source) -> None:
        self._samples = samples

    def select(
        self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int
    ) -> list[Series]:
        found = self._samples.select(matchers, start_ms, end_ms)
        return [one for one in found if not one.labels["__name__"].startswith("ALERTS")]


def subject(test: script.Test) -> str:
    """The alert that a test is about."""
    return test.name.removesuffix(AT_THRESHOLD)


@pytest.mark.parametrize(("file", "test"), CASES, ids=[test.name for _, test in CASES])
def test_an_alert_comes_once_and_goes_once(file: str, test: script.Test) -> None:
    course, name = played(file, test), subject(test)
    changes = sum(
        before != after
        for before, after in zip([False, *course.on], course.on, strict=False)
    )
    always = name == "NexaWatchdog"
    assert changes == (1 if always else 2), "it flaps, or never comes or goes"
    assert any(course.pending) == (ALERTS[name].for_s > 0)
    if name not in ONE_WAY and (test.name != name or name not in SLOW):
        assert course.wavers, "it is not tested at its threshold"


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_prometheus_says_the_same(file: Path, tmp_path: Path) -> None:
    if not installed() or shutil.which("promtool") is None:
        pytest.skip("there is no promtool, and Debian's can't be installed here")
    told = yaml.safe_load(file.read_text())
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        tests = [one for one in told["tests"] if is_of(group, one["name"])]
        wanted = {one["name"].removesuffix(AT_THRESHOLD) for one in tests}
        group["rules"] = [
            rule for rule in group["rules"] if rule.get("alert") in {None, *wanted}
        ]
        rules = tmp_path / f"rules-{group['name']}.yaml"
        rules.write_text(yaml.safe_dump({"groups": [group]}))
        played = {**told, "tests": tests, "rule_files": [rules.name]}
        if tests:
            path = tmp_path / f"tests-{group['name']}.yaml"
            path.write_text(yaml.safe_dump(played))

    done = subprocess.run(
        ["promtool", "test", "rules", *tmp_path.glob("tests-*.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def is_of(group: Any, test: str) -> bool:
    """Whether a test is about a rule of a group."""
    name = test.removesuffix(AT_THRESHOLD)
    return any(rule.get("alert") == name for rule in group["rules"])


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


def test_what_is_equal_of_two_alerts_is_a_label_of_both() -> None:
    """A label that neither has is equal always: the one would explain every other."""
    labels = {
        check.alertname: set(one.exp_labels)
        for _, test in CASES
        for check in test.alert_rule_test
        for one in check.exp_alerts
    }
    for policy in BUILTIN:
        for text in (*policy.source, *policy.target):
            name, _, value = text.partition("=")
            if name != "alertname" or policy.source[0] == 'alertname="NexaNodeDown"':
                continue
            named = re.compile(value.lstrip("~").strip('"'))
            for alert in filter(named.fullmatch, labels):
                assert set(policy.equal) <= labels[alert], (alert, policy)
