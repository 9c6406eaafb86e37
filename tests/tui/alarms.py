"""Alerts of the scenes: one of each condition, and of each way to be minded."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from nexa_node.contract.access import (
    NamespaceView,
    Permission,
    Role,
    Scope,
    TokenView,
)
from nexa_node.contract.alerts import (
    Ack,
    Alert,
    AlertChange,
    AlertDetail,
    Evidence,
    EvidenceLine,
    EvidenceSeries,
    LabelMatcher,
    Note,
    Rule,
    Silence,
)
from nexa_node.contract.audit import AuditEntry, AuditRecord
from nexa_node.contract.quotas import (
    Allowance,
    BudgetView,
    Limits,
    Quota,
    Spent,
)
from tests.builders import NOW


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def alert(name: str = "NexaTaskQueueBacklog", **overrides: Any) -> Alert:
    labels = {"alertname": name, "severity": "warning", "instance": "alpha"}
    fields: dict[str, Any] = {
        "fingerprint": f"{abs(hash_of(name)):016x}",
        "state": "firing",
        "severity": "warning",
        "labels": labels,
        "annotations": {"summary": "312 tasks wait and nobody takes them"},
        "since": ago(400),
        "fired": ago(340),
        "value": 312.0,
        "times": 1,
        "group": "tasks",
    }
    return Alert(name=name, **{**fields, **overrides})


def hash_of(text: str) -> int:
    """The same in every process."""
    return sum(ord(char) * 257**place for place, char in enumerate(text)) % 2**64


FIRING = alert(
    "NexaNodeDown",
    severity="critical",
    labels={"alertname": "NexaNodeDown", "severity": "critical", "node": "gamma"},
    annotations={
        "summary": "gamma is gone: no word for 41 s",
        "description": "Two of three nodes are left. One more, and nothing can be written.",
    },
    fired=ago(41),
    since=ago(47),
    value=1.0,
    group="cluster",
)
ALERTS: tuple[Alert, ...] = (
    FIRING,
    alert(escalated=ago(30)),
    alert(
        "NexaDiskAlmostFull",
        annotations={"summary": "9 % of alpha's disk is left"},
        unseen=True, state="resolved", fired=ago(7200), resolved=ago(6900),
    ),
    alert(
        "NexaTaskErrorRate", severity="error",
        annotations={"summary": "4.2 % of wc tasks fail"},
        ack=Ack(by="ada", at=ago(1200), until=ago(-6000), note="bad input since 11:40",
                severity="error"),
        notes=(Note(by="ada", at=ago(1100), text="told the team that sends it"),),
        fired=ago(1500),
    ),
    alert(
        "NexaAgentFlapping", severity="info", flapping=True, changes=7, times=4,
        annotations={"summary": "wc-2 comes and goes"},
    ),
    alert("NexaHighCpu", state="pending", fired=None, since=ago(50),
          annotations={"summary": "alpha uses 88 % of its processors"}),
    alert("NexaMemory", state="recovering",
          annotations={"summary": "alpha uses 74 % of its memory"}),
    alert("NexaStoreSlow", silenced_by=("s-1",),
          annotations={"summary": "synced writes take 41 ms"}),
)  # fmt: skip

DETAIL = AlertDetail(
    alert=FIRING,
    expression="nexa_node_up == 0\n  unless on (node) nexa_node_maintenance == 1",
    evidence=Evidence(
        at=ago(41),
        expression="nexa_node_up == 0",
        series=(
            EvidenceSeries(
                labels={"node": "gamma"},
                times=tuple(float(n) for n in range(90)),
                values=tuple(1.0 if n < 45 else 0.0 for n in range(90)),
            ),
            EvidenceSeries(
                labels={"node": "beta"},
                times=tuple(float(n) for n in range(90)),
                values=tuple(0.4 + 0.2 * math.sin(n / 5) for n in range(90)),
            ),
        ),
        lines=(
            EvidenceLine(time=ago(44), severity="warning", node="alpha",
                         text="gamma: no word for 1.5 s"),
            EvidenceLine(time=ago(41), severity="critical", node="beta",
                         text="gamma is dead: a majority says so"),
        ),
        tasks=("01jn8qk0kx29",),
        profile=("nexa_node/services/tasks/dispatch.py:118 assign",),
        complete=False,
    ),
    history=(
        AlertChange(id="c2", time=ago(41), fingerprint=FIRING.fingerprint,
                    name=FIRING.name, severity="critical", change="firing"),
        AlertChange(id="c1", time=ago(47), fingerprint=FIRING.fingerprint,
                    name=FIRING.name, severity="critical", change="pending"),
    ),
    runbook=(
        "# NexaNodeDown\n\nA node has said nothing for longer than its peers wait.\n\n"
        "## Check\n\n    nexa cluster status\n    nexa node status --node gamma\n\n"
        "## Mend\n\nStart it again where it ran:\n\n    nexa node start --name gamma\n"
    ),
)  # fmt: skip
RECORDED: tuple[AlertDetail, ...] = (
    DETAIL,
    *(
        AlertDetail(
            alert=one, expression="vector(1)", evidence=None, history=(), runbook=""
        )
        for one in ALERTS[1:]
    ),
)
"""What a node answers for each of them."""

SILENCES: tuple[Silence, ...] = (
    Silence(
        id="s-1",
        matchers=(LabelMatcher(name="alertname", kind="=", value="NexaStoreSlow"),),
        starts=ago(600), ends=ago(-6600), by="ada", comment="disk is being replaced",
        created=ago(600),
    ),
    Silence(
        id="s-0",
        matchers=(LabelMatcher(name="node", kind="=~", value="test-.*"),),
        starts=ago(90_000), ends=ago(3600), by="eve", comment="load test",
        created=ago(90_000),
    ),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    Rule(
        name="NexaNodeDown", kind="alerting", expression=DETAIL.expression,
        group="cluster", file="builtin", for_s=5.0, keep_firing_for_s=60.0,
        interval_s=10.0, labels={"severity": "critical"},
        annotations={"summary": "{{ $labels.node }} is gone"}, health="ok",
        evaluated=ago(4), duration_ms=0.8, alerts=1,
    ),
    Rule(
        name="MyRule", kind="alerting", expression="rate(nexa_tasks_total[5m]) > 100",
        group="mine", file="rules/mine.yaml", for_s=300.0, keep_firing_for_s=0.0,
        interval_s=30.0, labels={}, annotations={}, health="err",
        error="many-to-many matching is not allowed", evaluated=ago(12),
    ),
)  # fmt: skip
AUDIT: tuple[AuditRecord, ...] = tuple(
    AuditRecord(
        v=1, chain="alpha/e1", seq=seq, prev="0" * 64, hash="1" * 64,
        entry=AuditEntry(
            time=ago(seconds), event=event, actor=actor, name=name, role=role,
            address="192.0.2.7", request=f"r-{seq}", action=event, resource=resource,
            outcome=outcome, reason=reason,
        ),
    )
    for seq, seconds, event, actor, name, role, resource, outcome, reason in (
        (9, 12, "nodes:drain", "token:k3v9", "ada", "operator",
         "POST /v1/nodes/gamma/drain", "done", ""),
        (8, 12, "nodes:drain", "token:k3v9", "ada", "operator",
         "POST /v1/nodes/gamma/drain", "begun", ""),
        (7, 300, "authz_fail", "token:v001", "wall", "viewer",
         "POST /v1/tokens", "denied", "a viewer may not create tokens"),
        (6, 900, "authn_login_fail", "", "", "", "GET /v1/nodes", "denied",
         "the token is not known here"),
        (5, 4000, "tokens:create", "token:a001", "root", "admin",
         "POST /v1/tokens", "done", ""),
    )
)  # fmt: skip

_MADE = datetime(2026, 2, 1, 9, 0, tzinfo=UTC)
TOKENS = (
    TokenView(
        id="first1", role="admin", name="first", created=_MADE, expires=None,
        last_used=_MADE,
    ),
    TokenView(
        id="worker1", role="agent", name="wc fleet", created=_MADE,
        expires=datetime(2026, 3, 5, tzinfo=UTC), public_key="QUJD",
        scope=Scope(namespaces=("team-a",), may_send=("topic:orders.>",)),
    ),
    TokenView(
        id="short1", role="agent", name="wc fleet", created=_MADE, of="worker1",
        expires=datetime(2026, 2, 28, tzinfo=UTC),
    ),
)  # fmt: skip
ROLES = (
    Role(name="viewer", permissions=(Permission(allow="tasks:read"),), built_in=True),
    Role(name="desk", permissions=(Permission(allow="tasks:*", on="team-a.>"),)),
)
NAMESPACES = (
    NamespaceView(name="default", agents=12, tasks=840),
    NamespaceView(
        name="team-a",
        agents=3,
        tasks=41,
        quota=Quota(
            name="team-a",
            limits=Limits(agents=50, waiting=10_000),
            budget=Allowance(tokens=2_000_000, cost_usd=25.0, agent_tokens=200_000),
        ),
        budget=BudgetView(
            state="low",
            spent=Spent(tokens=1_760_000, cost_usd=18.5),
            resets=NOW + timedelta(hours=12),
            remaining=0.12,
            agents=("wc-1",),
        ),
    ),
    NamespaceView(
        name="team-b",
        agents=0,
        tasks=7,
        quota=Quota(name="team-b", budget=Allowance(tokens=1000, period="month")),
        budget=BudgetView(
            state="spent",
            spent=Spent(tokens=1020),
            resets=NOW + timedelta(days=9),
            remaining=0.0,
        ),
    ),
)
