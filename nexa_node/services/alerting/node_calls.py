"""A node's calls about alerts: may the caller, and whom to ask. A part of `services.node`."""

from dataclasses import dataclass

from nexa_node.contract.access import Identity
from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    AlertDetail,
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
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.alert_api import AlertFilter, ChangeFilter
from nexa_node.services.alerting.answering import AlertDesk


@dataclass(
    frozen=True, kw_only=True, eq=False
)  # no slots: a node has several such parts
class AlertCalls:
    """`services.alerting.api.AlertApi`."""

    permissions: Permissions
    alerting: AlertDesk
    """What is wrong, and who minds it."""

    def alerts(self, identity: Identity, query: AlertFilter) -> Page[Alert]:
        """List the alerts on the board, in the order of triage."""
        self.permissions.allow(identity, "alerts")
        return self.alerting.page(query)

    async def alert(self, identity: Identity, fingerprint: str) -> AlertDetail:
        """One alert, with all that helps; NotFound if it is not on the board."""
        self.permissions.allow(identity, "alert")
        return await self.alerting.detail(fingerprint)

    async def ack_alert(
        self, identity: Identity, fingerprint: str, wanted: NewAck
    ) -> Alert:
        """Mind an alert; of two at the same time the second is told of the first."""
        self.permissions.allow(identity, "ack_alert")
        by = identity.name or identity.id
        return await self.alerting.people.ack(fingerprint, wanted, by=by)

    async def unack_alert(self, identity: Identity, fingerprint: str) -> Alert:
        """Take an acknowledgement back."""
        self.permissions.allow(identity, "unack_alert")
        by = identity.name or identity.id
        return await self.alerting.people.unack(fingerprint, by=by)

    async def note_alert(
        self, identity: Identity, fingerprint: str, wanted: NewNote
    ) -> Alert:
        """Write something down about an alert."""
        self.permissions.allow(identity, "note_alert")
        by = identity.name or identity.id
        return await self.alerting.people.note(fingerprint, wanted, by=by)

    async def dismiss_alert(self, identity: Identity, fingerprint: str) -> Alert:
        """Say that one that fired and cleared unseen is seen."""
        self.permissions.allow(identity, "dismiss_alert")
        by = identity.name or identity.id
        return await self.alerting.people.dismiss(fingerprint, by=by)

    async def alert_history(
        self, identity: Identity, query: ChangeFilter
    ) -> Page[AlertChange]:
        """What became of alerts, the newest first."""
        self.permissions.allow(identity, "alert_history")
        return await self.alerting.changes(query)

    async def handover(self, identity: Identity, *, since_s: int) -> Handover:
        """What one shift tells the next."""
        self.permissions.allow(identity, "handover")
        return await self.alerting.handover(since_s=since_s)

    def silences(self, identity: Identity) -> Page[Silence]:
        """All silences: what ends first, first; then those that are over."""
        self.permissions.allow(identity, "silences")
        return self.alerting.all_silences()

    async def create_silence(self, identity: Identity, wanted: NewSilence) -> Silence:
        """Make a silence."""
        self.permissions.allow(identity, "create_silence")
        by = identity.name or identity.id
        return await self.alerting.silences.create(wanted, by=by)

    async def expire_silence(self, identity: Identity, silence_id: str) -> None:
        """End a silence."""
        self.permissions.allow(identity, "expire_silence")
        by = identity.name or identity.id
        await self.alerting.silences.expire(silence_id, by=by)

    async def preview_silence(
        self, identity: Identity, wanted: NewSilence
    ) -> SilencePreview:
        """Say what a silence would hide, and would have hidden."""
        self.permissions.allow(identity, "preview_silence")
        return await self.alerting.preview(wanted)

    async def rules(self, identity: Identity) -> Page[Rule]:
        """All rules in force, and what their last evaluation said."""
        self.permissions.allow(identity, "rules")
        return Page(items=await self.alerting.rules.all())

    async def reload_rules(self, identity: Identity) -> RulesLoaded:
        """Read the rule files of all nodes anew."""
        self.permissions.allow(identity, "reload_rules")
        return await self.alerting.rules.reload()
