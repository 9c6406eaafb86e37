"""PagerDuty, by its Events API v2."""

from dataclasses import dataclass

import msgspec

from nexa_node.adapters.notify.calling import Client, Secret, post
from nexa_node.contract.errors import NexaError
from nexa_node.core.alerting.notifying.notices import Notification
from nexa_node.core.alerting.notifying.pagerduty import pagerduty_events
from nexa_node.ports import Sent

URL = "https://events.pagerduty.com"
PATH = "/v2/enqueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDuty:
    """`ports.Sender`. The `dedup_key` makes it safe to send an event again."""

    client: Client
    key: Secret
    """The integration key of a service."""
    url: str = URL

    async def send(self, notification: Notification) -> Sent:
        """Trigger, acknowledge or resolve its incident."""
        try:
            key = await self.key()
        except NexaError as error:
            return Sent(False, error.message, retry=True)
        sent = Sent(False, "nothing to tell")
        for event in pagerduty_events(notification, key):
            sent = await post(
                self.client,
                self.url.rstrip("/") + PATH,
                msgspec.json.encode(event),
                headers={},
                secrets=(key,),
            )
            if not sent.delivered:
                break
        return sent
