"""What keeps people from being told of an alert: silences, inhibition, maintenance."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nexa_node.contract.alert_records import AlertRecord
from nexa_node.contract.alerts import MAINTENANCE, Alert
from nexa_node.core.alerting.keeping import Covers
from nexa_node.core.policies import InhibitPolicy
from nexa_node.services.alerting.silencing import Silences

if TYPE_CHECKING:
    from nexa_node.core.alerting.silences import Inhibition

_ON = ("instance", "node")
"""The labels that say which node an alert is about."""


class Minding:
    """Says of each alert what covers it."""

    def __init__(
        self,
        silences: Silences,
        inhibits: Sequence[InhibitPolicy],
        *,
        resting: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Mind these silences, and rules of inhibition besides nexa's own.

        Args:
            silences: All there are.
            inhibits: The operator's.
            resting: Names of the nodes that are in maintenance.
        """
        self._silences = silences
        self._resting = resting
        self._policies = tuple(inhibits)
        self._rules: tuple[Inhibition, ...] | None = None

    def covers(self, records: Iterable[AlertRecord]) -> dict[str, Covers]:
        """By fingerprint, for all alerts of the board."""
        from nexa_node.core.alerting.inhibition import compiled
        from nexa_node.core.alerting.silences import inhibitors

        if self._rules is None:
            self._rules = compiled(self._policies)
        resting = frozenset(self._resting())
        alerts = [record.alert for record in records]
        sources = [one for one in alerts if one.state in ("firing", "recovering")]
        return {
            alert.fingerprint: Covers(
                silenced_by=self._quiet(alert.labels, resting),
                inhibited_by=()
                if alert.state == "resolved"
                else inhibitors(alert, sources, self._rules),
            )
            for alert in alerts
        }

    def silenced(self, alert: Alert) -> tuple[str, ...]:
        """Ids of the silences that hold for one alert, and `maintenance:<node>`."""
        return self._quiet(alert.labels, frozenset(self._resting()))

    def _quiet(
        self, labels: Mapping[str, str], resting: frozenset[str]
    ) -> tuple[str, ...]:
        nodes = sorted({labels.get(name, "") for name in _ON} & resting)
        return (*(MAINTENANCE + node for node in nodes), *self._silences.of(labels))
