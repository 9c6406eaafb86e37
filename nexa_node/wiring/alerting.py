"""Alerting, put together: rules, the engine, the board, silences, history, evidence."""

import importlib.resources
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from nexa_node.adapters.files.places import base_folders
from nexa_node.adapters.files.rule_files import FolderRuleFiles
from nexa_node.adapters.files.runbooks import runbook
from nexa_node.adapters.host.witness import ProcessWitness
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.contract import places
from nexa_node.contract.events import Change
from nexa_node.services.alerting.answering import AlertDesk
from nexa_node.services.alerting.board import Board
from nexa_node.services.alerting.engine import Engine, Role
from nexa_node.services.alerting.evidence import Evidences
from nexa_node.services.alerting.history import History
from nexa_node.services.alerting.keeper import Keeper
from nexa_node.services.alerting.listing import PrometheusRules, RuleList
from nexa_node.services.alerting.minding import Minding
from nexa_node.services.alerting.people import People
from nexa_node.services.alerting.rulebook import Rulebook
from nexa_node.services.alerting.silencing import Silences
from nexa_node.services.cluster.caretaking import Duty
from nexa_node.services.health.supervisor import Supervisor
from nexa_node.services.metrics.samples import Samples
from nexa_node.wiring.core import Core
from nexa_node.wiring.fellowship import Fellowship
from nexa_node.wiring.notifying import Notifications
from nexa_node.wiring.place import Place

SWEEP_S, COMPLETE_S = 3600.0, 30.0
Loop = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What alerting is between."""

    samples: Samples
    tell: Callable[[Change], object]
    """The console's feed."""
    notifications: Notifications
    supervisor: Supervisor


class Alerting:
    """All of it; its loops run once they are added to the supervisor."""

    def __init__(
        self,
        place: Place,
        store: NatsStore,
        fellowship: Fellowship,
        core: Core,
        around: Around,
    ) -> None:
        """Join the parts; nothing runs yet.

        Args:
            place: The settings and the node's folder.
            store: Where alerts are kept.
            fellowship: Who is the controller, and who lives.
            core: What happens.
            around: What rules are computed from, and who hears of alerts.
        """
        samples, notifications = around.samples, around.notifications
        name, clock, journal = place.identity.name, core.clock, core.journal
        settings, entropy = place.loaded.settings, secrets.token_bytes
        evaluates_itself = settings.alerting.mode != "external"
        self.board = Board(
            store.alerts,
            clock=clock,
            tell=around.tell,
            writable=lambda: store.health().connected and fellowship.has_quorum(),
        )
        self.silences = Silences(
            store.silences,
            clock=clock,
            journal=journal,
            entropy=entropy,
            elsewhere=notifications.silences,
        )
        self.history = History(
            store.alert_log, clock=clock, journal=journal, entropy=entropy
        )
        self.rulebook = Rulebook(
            FolderRuleFiles(Path(places.rules(base_folders()[0]))),
            builtin=builtin_rules,
            clock=clock,
            journal=journal,
            node=name,
            started=lambda: fellowship.condition.state != "starting",
        )
        role = Role(
            node=name,
            is_controller=lambda: (
                fellowship.controller.is_controller() and fellowship.has_quorum()
            ),
            living=fellowship.members.living,
        )
        minding = Minding(
            self.silences, settings.inhibits, resting=fellowship.members.resting
        )
        self.engine = Engine(
            rulebook=self.rulebook,
            samples=samples,
            board=self.board,
            keeper=Keeper(self.board, minding, clock=clock),
            role=role,
            clock=clock,
            foreign=None if evaluates_itself else notifications.external,
        )
        self.evidences = Evidences(
            store.evidence,
            samples=samples,
            sight=core.directory,
            witness=ProcessWitness(Path(places.node_log(place.state)), node=name),
            calls=store.calls,
            clock=clock,
            node=name,
        )
        rules = RuleList(
            self.rulebook,
            self.engine,
            role=role,
            holder=lambda: fellowship.controller.holder,
            calls=store.calls,
        )
        self.desk = AlertDesk(
            board=self.board,
            people=People(self.board, clock=clock, node=name),
            silences=self.silences,
            history=self.history,
            evidences=self.evidences,
            rules=rules,
            runbook=runbook,
            clock=clock,
        )
        self.told = PrometheusRules(rules, self.board)
        """Rules and alerts, as Prometheus' HTTP API tells them."""
        self.board.on_write(self.history.wrote)
        self.board.on_write(self.evidences.wrote(around.supervisor.spawn))
        self.board.on_change(self.engine.stir)
        self.silences.on_change(self.engine.stir)
        self.engine.on_board(notifications.cluster.told)
        self.engine.on_own(notifications.local.told)
        notifications.on_escalated(self.engine.escalated)
        self.evidences.serve()
        rules.serve()

    @property
    def loops(self) -> tuple[tuple[str, Loop], ...]:
        """What runs on every node."""
        return (
            ("alert-log", self.history.run),
            ("alert-board", self.board.watch),
            ("alert-silences", self.silences.watch),
            ("alert-rules", self.rulebook.run),
            ("alert-engine", self.engine.run),
            ("alert-minding", self.engine.mind),
            ("alert-evidence", self.evidences.run),
        )

    @property
    def duties(self) -> tuple[Duty, ...]:
        """What the controller does for all."""
        return (
            Duty("alert-silences", SWEEP_S, self.silences.sweep, at_once=False),
            Duty("alert-evidence", COMPLETE_S, self._complete, at_once=False),
        )

    async def _complete(self) -> None:
        await self.evidences.complete(self.board.records())


def builtin_rules() -> str:
    """Read the rules that come with nexa."""
    source = importlib.resources.files("nexa_node").joinpath("rules", "builtin.yaml")
    return source.read_text(encoding="utf-8")
