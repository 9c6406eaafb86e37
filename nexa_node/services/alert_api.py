"""The driving side of alerting: a part of `api.NodeApi`, in a file of its own."""

from dataclasses import dataclass
from typing import Protocol

from nexa_node.contract.access import Identity
from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    AlertDetail,
    AlertSeverity,
    AlertState,
    Handover,
    NewAck,
    NewNote,
    NewSilence,
    Rule,
    RulesLoaded,
    Silence,
    SilencePreview,
)
from nexa_node.contract.rest import Page


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts to list, in the order of triage."""

    state: AlertState | None = None
    severity: AlertSeverity | None = None
    name: str | None = None
    limit: int = 100
    cursor: str | None = None
    match: str | None = None
    """Conditions on its labels, as `contract.matchers` reads them."""


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes to list, the newest first."""

    name: str | None = None
    fingerprint: str | None = None
    since: float | None = None
    """Seconds since 1970."""
    limit: int = 100
    cursor: str | None = None


class AlertApi(Protocol):
    """What a node answers about alerts."""

    def alerts(self, identity: Identity, query: AlertFilter) -> Page[Alert]:
        """List the alerts on the board, in the order of triage."""
        ...

    async def alert(self, identity: Identity, fingerprint: str) -> AlertDetail:
        """One alert, with all that helps; NotFound if it is not on the board."""
        ...

    async def ack_alert(
        self, identity: Identity, fingerprint: str, wanted: NewAck
    ) -> Alert:
        """Mind an alert; of two at the same time the second is told of the first."""
        ...

    async def unack_alert(self, identity: Identity, fingerprint: str) -> Alert:
        """Take an acknowledgement back."""
        ...

    async def note_alert(
        self, identity: Identity, fingerprint: str, wanted: NewNote
    ) -> Alert:
        """Write something down about an alert."""
        ...

    async def dismiss_alert(self, identity: Identity, fingerprint: str) -> Alert:
        """Say that one that fired and cleared unseen is seen."""
        ...

    async def alert_history(
        self, identity: Identity, query: ChangeFilter
    ) -> Page[AlertChange]:
        """What became of alerts, the newest first."""
        ...

    async def handover(self, identity: Identity, *, since_s: int) -> Handover:
        """What one shift tells the next."""
        ...

    def silences(self, identity: Identity) -> Page[Silence]:
        """All silences: what ends first, first; then those that are over."""
        ...

    async def create_silence(self, identity: Identity, wanted: NewSilence) -> Silence:
        """Make a silence."""
        ...

    async def expire_silence(self, identity: Identity, silence_id: str) -> None:
        """End a silence."""
        ...

    async def preview_silence(
        self, identity: Identity, wanted: NewSilence
    ) -> SilencePreview:
        """Say what a silence would hide, and would have hidden."""
        ...

    async def rules(self, identity: Identity) -> Page[Rule]:
        """All rules in force, and what their last evaluation said."""
        ...

    async def reload_rules(self, identity: Identity) -> RulesLoaded:
        """Read the rule files of all nodes anew."""
        ...
