"""The configurations for Prometheus and Alertmanager: their own tools take them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexa_node.contract.places import DEFAULT_PORT
from nexa_node.core.alerting.inhibition import BUILTIN
from tests import debian
from tests.node.rules.test_builtin import ROOT, RULES

PROMETHEUS = ROOT / "deploy/prometheus/prometheus.yml"
ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"


def tool(name: str, package: str, *words: str | Path) -> str:
    """Run a tool of Debian's; what it says. It must find no fault."""
    if shutil.which(name) is None and not debian.install(package):
        pytest.skip(f"there is no {name}, and Debian's can't be installed here")
    done = subprocess.run([name, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_promtool_takes_it_with_the_rules_beside_it(tmp_path: Path) -> None:
    shutil.copy(PROMETHEUS, tmp_path)
    (tmp_path / "nexa.token").write_text("t")
    (tmp_path / "rules").mkdir()
    shutil.copy(RULES, tmp_path / "rules")

    told = tool(
        "promtool", "prometheus", "check", "config", tmp_path / "prometheus.yml"
    )

    count = sum(len(group["rules"]) for group in read(RULES)["groups"])
    assert f"{count} rules found" in told


def test_it_asks_a_node_where_nodes_are_by_default() -> None:
    (job,) = read(PROMETHEUS)["scrape_configs"]
    (found,) = job["http_sd_configs"]
    assert found["url"] == f"http://127.0.0.1:{DEFAULT_PORT}/v1/prometheus/targets"
    assert job["job_name"] == "nexa", "the label that rules and dashboards ask for"
    # Service discovery of 2.42 sends no type of its own accord.
    assert found["authorization"]["type"] == job["authorization"]["type"] == "Bearer"


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=NexaWatchdog", "severity=none"), "dead-mans-switch"),
        (("alertname=NexaNodeDown", "severity=critical"), "on-call"),
        (("alertname=NexaCpuHigh", "severity=warning"), "people"),
        (("alertname=NexaVersionSkew", "severity=info"), "nobody"),
    ],
)
def test_alerts_go_where_they_should(labels: tuple[str, ...], receiver: str) -> None:
    place = f"--config.file={ALERTMANAGER}"
    found = tool(
        "amtool", "prometheus-alertmanager", "config", "routes", "test", place, *labels
    )
    assert found == receiver


def test_amtool_takes_it() -> None:
    tool("amtool", "prometheus-alertmanager", "check-config", ALERTMANAGER)


def test_an_alertmanager_inhibits_what_nexa_does() -> None:
    theirs = [
        (
            tuple(one["source_matchers"]),
            tuple(one["target_matchers"]),
            tuple(one.get("equal", ())),
        )
        for one in read(ALERTMANAGER)["inhibit_rules"]
    ]
    assert theirs == [(one.source, one.target, one.equal) for one in BUILTIN]


def test_what_the_program_before_warned_of_is_warned_of_still() -> None:
    """Processors 70 and 85 %, memory 75 and 90, and so on: these people know."""
    rules = {
        rule["alert"]: (" ".join(rule["expr"].split()), rule["labels"]["severity"])
        for group in read(RULES)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    for name, what, severity in (
        ("NexaCpuHigh", "nexa:cpu_busy:ratio_rate5m > 0.70", "warning"),
        ("NexaCpuCritical", "nexa:cpu_busy:ratio_rate5m > 0.85", "critical"),
        ("NexaMemoryLow", "nexa:memory_used:ratio > 0.75", "warning"),
        ("NexaMemoryCritical", "nexa:memory_used:ratio > 0.90", "critical"),
        ("NexaConnectionsHigh", "(nexa_connections_limit) > 0.7", "warning"),
        ("NexaConnectionsFull", "(nexa_connections_limit) > 0.9", "critical"),
        ("NexaQueueBacklog", "nexa:queue_depth:max > 1000", "warning"),
        ("NexaQueueOverflow", "nexa:queue_depth:max > 5000", "critical"),
        ("NexaDeliverySlow", "nexa:delivery:avg_seconds5m > 1", "warning"),
        ("NexaDeliveryCrawling", "nexa:delivery:avg_seconds5m > 5", "critical"),
        ("NexaTaskErrorRatioHigh", "nexa:tasks_failed:ratio_rate5m > 0.05", "warning"),
    ):
        expression, found = rules[name]
        assert f"{what} or" in expression, name
        assert found == severity
