"""Rules as they are told: what is in force, and what whoever evaluates them last said.

The cluster's rules are evaluated by one node; any other one asks it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nexa_node.contract.alerts import Rule, RulesLoaded
from nexa_node.contract.errors import NexaError
from nexa_node.core.alerting import as_prometheus
from nexa_node.ports import NodeCalls
from nexa_node.services.alerting.board import Board
from nexa_node.services.alerting.engine import Engine, Role
from nexa_node.services.alerting.evaluating import Status
from nexa_node.services.alerting.rulebook import BUILTIN, Rulebook

if TYPE_CHECKING:
    from nexa_node.core.alerting.rules import Rule as Loaded
    from nexa_node.core.alerting.ruling import Part

ASK_S = 2.0
RULES, RELOAD = "alert_rules", "alert_reload"


class RuleList:
    """Tells rules, and has them read anew, on all nodes."""

    def __init__(
        self,
        rulebook: Rulebook,
        engine: Engine,
        *,
        role: Role,
        holder: Callable[[], str | None],
        calls: NodeCalls,
    ) -> None:
        """Tell of `rulebook` and `engine`; `holder` names the controller."""
        self._rulebook = rulebook
        self._engine = engine
        self._role = role
        self._holder = holder
        self._calls = calls

    def serve(self) -> None:
        """Answer other nodes from now on."""

        async def rules(_payload: bytes) -> bytes:
            return msgspec.json.encode(self._own(local=False))

        async def reload(_payload: bytes) -> bytes:
            return msgspec.json.encode(await self._rulebook.reload())

        answers: Mapping[str, Callable[[bytes], Awaitable[bytes]]] = {
            RULES: rules,
            RELOAD: reload,
        }
        for what, answer in answers.items():
            self._calls.serve(self._role.node, what, answer)

    async def all(self) -> tuple[Rule, ...]:
        """All rules: the cluster's as its controller has them, and this node's own."""
        theirs = await self._asked(RULES, tuple[Rule, ...])
        found = self._own(local=False) if theirs is None else theirs
        return (*found, *self._own(local=True))

    async def reload(self) -> RulesLoaded:
        """Read the files anew, here and on every other node; what is in force here.

        Another node that can't be reached, or whose files differ, is a warning.
        """
        told = await self._rulebook.reload()
        warnings: list[str] = []
        for node in sorted(set(self._role.living()) - {self._role.node}):
            try:
                said = await self._calls.ask(node, RELOAD, b"", timeout_s=ASK_S)
                other = msgspec.json.decode(said, type=RulesLoaded)
            except (NexaError, msgspec.MsgspecError):
                warnings.append(f"{node} did not read its rules: it does not answer")
                continue
            if (other.rules, other.files) != (told.rules, told.files):
                warnings.append(
                    f"{node} has other rules: {other.rules} in {len(other.files)} files"
                )
        return msgspec.structs.replace(
            told, warnings=(*told.warnings, *self.blind(), *warnings)
        )

    def blind(self) -> list[str]:
        """Warnings of rules whose selectors matched nothing when they were evaluated.

        Not of those that come with nexa: what they ask for is not there as long as there
        is no queue, no copy and no certificate.
        """
        theirs = {
            key
            for part in self._rulebook.book.parts
            if part.group.file != BUILTIN
            for key in part.keys
        }
        return [
            f"{name}: its selectors match nothing that is measured"
            for local in (False, True)
            for name, status in self._engine.statuses(local=local).items()
            if status.empty and name in theirs
        ]

    async def _asked(
        self, what: str, kind: type[tuple[Rule, ...]]
    ) -> tuple[Rule, ...] | None:
        holder = self._holder()
        if holder is None or holder == self._role.node:
            return None
        try:
            said = await self._calls.ask(holder, what, b"", timeout_s=ASK_S)
            return msgspec.json.decode(said, type=kind)
        except (NexaError, msgspec.MsgspecError):
            return None

    def _own(self, *, local: bool) -> tuple[Rule, ...]:
        statuses = self._engine.statuses(local=local)
        return tuple(
            _told(part, rule, statuses.get(key))
            for part in self._rulebook.book.parts
            if part.local is local
            for key, rule in zip(part.keys, part.group.rules, strict=True)
        )


def _told(part: "Part", rule: "Loaded", status: Status | None) -> Rule:
    health: Literal["ok", "err", "unknown"] = "unknown"
    if status is not None:
        health = "err" if status.error else "ok"
    return Rule(
        name=rule.name,
        kind="alerting" if rule.alerts else "recording",
        expression=rule.text,
        group=part.group.name,
        file=part.group.file,
        for_s=rule.for_s,
        keep_firing_for_s=rule.keep_firing_s,
        interval_s=part.group.interval_s,
        labels=dict(rule.labels),
        annotations=dict(rule.annotations),
        health=health,
        error="" if status is None else status.error,
        evaluated=None if status is None else status.evaluated,
        duration_ms=0.0 if status is None else status.duration_ms,
        alerts=0 if status is None else status.alerts,
        local=part.local,
    )


class PrometheusRules:
    """`metrics.samples.RulesTold`: the same, as Prometheus' HTTP API tells it."""

    def __init__(self, rules: RuleList, board: Board) -> None:
        """Tell of these."""
        self._rules = rules
        self._board = board

    async def groups(self) -> list[dict[str, Any]]:
        """The `groups` of `/api/v1/rules`."""
        rules, alerts = await self._rules.all(), self._board.alerts()
        return as_prometheus.groups(rules, alerts)

    async def alerts(self) -> list[dict[str, Any]]:
        """The `alerts` of `/api/v1/alerts`."""
        return as_prometheus.active(self._board.alerts())
