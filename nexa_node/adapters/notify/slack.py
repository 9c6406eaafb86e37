"""A Slack incoming webhook."""

from dataclasses import dataclass

from nexa_node.adapters.notify.calling import Client, Secret, post
from nexa_node.contract.errors import NexaError
from nexa_node.core.alerting.notifying.notices import Notification
from nexa_node.core.alerting.notifying.slack import slack_body
from nexa_node.ports import Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """`ports.Sender`. Slack knows no ids of ours: a double is seen twice."""

    client: Client
    url: Secret

    async def send(self, notification: Notification) -> Sent:
        """POST it; Slack asks for at most one a second, and says so by 429."""
        try:
            url = await self.url()
        except NexaError as error:
            return Sent(False, error.message, retry=True)
        return await post(self.client, url, slack_body(notification), headers={})
