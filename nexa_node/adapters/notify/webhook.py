"""A webhook: Alertmanager's body, version 4, to any URL."""

import base64
from dataclasses import dataclass

from nexa_node.adapters.notify.calling import Client, Secret, post
from nexa_node.contract.errors import NexaError
from nexa_node.core.alerting.notifying.notices import Notification
from nexa_node.core.alerting.notifying.webhook import webhook_body
from nexa_node.ports import Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """`ports.Sender`."""

    client: Client
    url: Secret
    """A URL may be a secret."""
    token: Secret | None = None
    """A bearer token."""
    username: str = ""
    password: Secret | None = None

    async def send(self, notification: Notification) -> Sent:
        """POST it. The id of the delivery stands in `Idempotency-Key`."""
        try:
            url = await self.url()
            authorization, secrets = await self._credentials()
        except NexaError as error:
            return Sent(False, error.message, retry=True)
        headers = {"idempotency-key": notification.id}
        if authorization:
            headers["authorization"] = authorization
        return await post(
            self.client,
            url,
            webhook_body(notification),
            headers=headers,
            secrets=secrets,
        )

    async def _credentials(self) -> tuple[str, tuple[str, ...]]:
        if self.token is not None:
            token = await self.token()
            return f"Bearer {token}", (token,)
        if self.password is not None:
            password = await self.password()
            pair = base64.b64encode(f"{self.username}:{password}".encode()).decode()
            return f"Basic {pair}", (password, pair)
        return "", ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatUrl:
    """`ports.Heart`: a dead man's switch somewhere else, called by its URL."""

    client: Client
    url: Secret

    async def beat(self) -> Sent:
        """POST nothing to it."""
        try:
            url = await self.url()
        except NexaError as error:
            return Sent(False, error.message, retry=True)
        return await post(self.client, url, b"{}", headers={})
