"""The life of an alert: the same as in Prometheus, held against promtool."""

import random
import subprocess
from pathlib import Path

import pytest
import yaml

from nexa_node.core.alerting.fingerprint import fingerprint
from nexa_node.core.alerting.life import (
    Active,
    Condition,
    SameLabels,
    TooManyAlerts,
    advance,
)
from nexa_node.core.alerting.rules import Rule, load
from tests.node.core.promql.prometheus import installed

FILE = """
groups:
- name: g
  rules:
  - alert: Hot
    expr: heat > 50
    for: {wait}
    keep_firing_for: {keep}
    labels: {{severity: warning, room: "{{{{ $labels.room }}}}-room"}}
    annotations: {{summary: "{{{{ $labels.node }}}} has {{{{ $value }}}}"}}
"""


def rule(wait: str = "0s", keep: str = "0s") -> Rule:
    return load(FILE.format(wait=wait, keep=keep), file="x")[0].rules[0]


def story(
    made: Rule, heats: list[float | None], *, step: float = 60.0
) -> list[dict[str, Condition]]:
    active: dict[str, Active] = {}
    told: list[dict[str, Condition]] = []
    for at, heat in enumerate(heats):
        results = [] if heat is None or heat <= 50 else [({"node": "a"}, heat)]
        active, _ = advance(made, results, active, now=at * step)
        told.append({one.labels["node"]: one.condition for one in active.values()})
    return told


def test_it_waits_fires_recovers_and_is_over() -> None:
    heats = [60.0, 60.0, 60.0, 10.0, 60.0, 10.0, 10.0, 10.0]

    told = story(rule("2m", "2m"), heats)

    assert [each.get("a") for each in told] == [
        "pending",
        "pending",
        "firing",
        "recovering",
        "firing",
        "recovering",
        "recovering",
        None,
    ]


def test_one_that_only_was_pending_leaves_no_trace() -> None:
    active, changes = advance(rule("5m"), [({"node": "a"}, 60.0)], {}, now=0)
    gone, more = advance(rule("5m"), [], active, now=60)

    assert [change.alert.condition for change in changes] == ["pending"]
    assert (gone, more) == ({}, ())


def test_without_waiting_it_fires_at_once_and_its_end_is_told() -> None:
    active, fired = advance(rule(), [({"node": "a"}, 60.0)], {}, now=0)
    _, over = advance(rule(), [], active, now=60)

    assert [(one.before, one.alert.condition) for one in fired] == [(None, "firing")]
    assert [(one.before, one.alert.condition) for one in over] == [
        ("firing", "resolved")
    ]
    assert over[0].alert.resolved == 60


def test_labels_and_words_are_filled_in_and_empty_labels_go() -> None:
    active, _ = advance(
        rule(), [({"__name__": "heat", "node": "a", "odd": ""}, 61.0)], {}, now=0
    )
    (alert,) = active.values()

    assert alert.labels == {
        "alertname": "Hot",
        "node": "a",
        "severity": "warning",
        "room": "-room",
    }
    assert alert.annotations == {"summary": "a has 61"}
    assert alert.fingerprint == fingerprint(alert.labels)


def test_what_is_too_much_or_the_same_changes_nothing() -> None:
    both = [({"node": "a"}, 60.0), ({"node": "b"}, 60.0)]
    with pytest.raises(TooManyAlerts):
        advance(rule(), both, {}, now=0, limit=1)
    with pytest.raises(SameLabels):
        advance(
            rule(),
            [
                ({"__name__": "x", "node": "a"}, 1.0),
                ({"__name__": "y", "node": "a"}, 1.0),
            ],
            {},
            now=0,
        )


@pytest.mark.parametrize("seed", range(6))
def test_promtool_sees_the_same_alerts_fire(seed: int, tmp_path: Path) -> None:
    if not installed():
        pytest.skip("there is no promtool, and Debian's can't be installed here")
    rng = random.Random(seed)
    wait, keep = rng.choice(["0s", "1m", "3m"]), rng.choice(["0s", "1m", "4m"])
    rules = FILE.format(wait=wait, keep=keep)
    (tmp_path / "rules.yml").write_text(rules)
    made = load(rules, file="rules.yml")[0].rules[0]
    heats = {
        node: [rng.choice([10, 60, 60, 70]) for _ in range(40)] for node in ("a", "b")
    }
    active: dict[str, Active] = {}
    expected = []
    for minute in range(40):
        results = [
            ({"node": node, "room": "r"}, float(values[minute]))
            for node, values in heats.items()
            if values[minute] > 50
        ]
        active, _ = advance(made, results, active, now=minute * 60)
        firing = [
            {
                "exp_labels": {
                    name: text
                    for name, text in one.labels.items()
                    if name != "alertname"
                },
                "exp_annotations": dict(one.annotations),
            }
            for one in active.values()
            if one.is_on
        ]
        expected.append(
            {"eval_time": f"{minute}m", "alertname": "Hot", "exp_alerts": firing}
        )
    case = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {
                        "series": f'heat{{node="{node}",room="r"}}',
                        "values": " ".join(map(str, values)),
                    }
                    for node, values in heats.items()
                ],
                "alert_rule_test": expected,
            }
        ],
    }
    (tmp_path / "case.yml").write_text(yaml.safe_dump(case))

    done = subprocess.run(
        ["promtool", "test", "rules", "case.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
