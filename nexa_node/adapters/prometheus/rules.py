"""A Prometheus that evaluates rules: `ports.ForeignRules` over its HTTP API.

`/api/v1/rules` says of each alert also which group it is of and how long its rule waits,
which `/api/v1/alerts` does not. `external_labels` stand in neither: they are put on when
an alert goes to the Alertmanager.
"""

import math
from datetime import datetime
from typing import Literal

import msgspec

from nexa_node.adapters.prometheus.asking import Api
from nexa_node.contract.errors import Unavailable
from nexa_node.core.alerting.fingerprint import fingerprint
from nexa_node.ports import ForeignAlert


class _Alert(msgspec.Struct, frozen=True, rename="camel"):
    labels: dict[str, str]
    annotations: dict[str, str]
    state: Literal["inactive", "pending", "firing"]
    active_at: datetime
    value: str


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    name: str
    duration: float = 0.0
    alerts: tuple[_Alert, ...] = ()


class _Group(msgspec.Struct, frozen=True):
    name: str
    rules: tuple[_Rule, ...] = ()


class _Data(msgspec.Struct, frozen=True):
    groups: tuple[_Group, ...] = ()


class _Answer(msgspec.Struct, frozen=True):
    status: str
    data: _Data = _Data()


class PrometheusRules:
    """`ports.ForeignRules`."""

    def __init__(self, api: Api) -> None:
        """Read from one server."""
        self._api = api

    async def alerts(self) -> list[ForeignAlert]:
        """The alerts that are pending or fire."""
        told = await self._api.get("/api/v1/rules", _Answer, query={"type": "alert"})
        if told.status != "success":
            raise Unavailable(f"{self._api.base} answered {told.status[:80]}")
        return [
            _foreign(group, rule, alert)
            for group in told.data.groups
            for rule in group.rules
            for alert in rule.alerts
            if alert.state != "inactive"
        ]


def _foreign(group: _Group, rule: _Rule, alert: _Alert) -> ForeignAlert:
    since, firing = alert.active_at.timestamp(), alert.state == "firing"
    return ForeignAlert(
        fingerprint=fingerprint(alert.labels),
        labels=alert.labels,
        annotations=alert.annotations,
        value=_number(alert.value),
        firing=firing,
        since=since,
        fired=since + rule.duration if firing else None,
        group=group.name,
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
