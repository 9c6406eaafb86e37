"""What keeps people from being told of an alert: silences and inhibition, as they are now."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import Alert
from nexa_node.core.alerting.keeping import Covers
from nexa_node.core.policies import InhibitPolicy
from nexa_node.services.alerting.silencing import Silences

if TYPE_CHECKING:
    from nexa_node.core.alerting.silences import Inhibition


class Minding:
    """Says of each alert what covers it."""

    def __init__(self, silences: Silences, inhibits: Sequence[InhibitPolicy]) -> None:
        """Mind these silences, and rules of inhibition besides nexa's own."""
        self._silences = silences
        self._policies = tuple(inhibits)
        self._rules: tuple[Inhibition, ...] | None = None

    def covers(self, records: Iterable[AlertRecord]) -> dict[str, Covers]:
        """By fingerprint, for all alerts of the board."""
        from nexa_node.core.alerting.inhibition import compiled
        from nexa_node.core.alerting.silences import inhibitors

        if self._rules is None:
            self._rules = compiled(self._policies)
        alerts = [record.alert for record in records]
        sources = [one for one in alerts if one.state in ("firing", "recovering")]
        return {
            alert.fingerprint: Covers(
                silenced_by=self._silences.of(alert.labels),
                inhibited_by=()
                if alert.state == "resolved"
                else inhibitors(alert, sources, self._rules),
            )
            for alert in alerts
        }

    def silenced(self, alert: Alert) -> tuple[str, ...]:
        """Ids of the silences that hold for one alert."""
        return self._silences.of(alert.labels)
