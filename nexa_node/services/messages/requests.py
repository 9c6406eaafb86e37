"""Requests: messages that wait for their answers."""

import msgspec

from nexa_node.contract.errors import (
    Cancelled,
    DeadlineExceeded,
    Duplicate,
    Invalid,
)
from nexa_node.contract.frames import RequestMessage
from nexa_node.contract.ids import DEFAULT_NAMESPACE, Namespace
from nexa_node.contract.messages import Message
from nexa_node.contract.tasks import Json
from nexa_node.services.messages.answers import TOO_LATE, Answers
from nexa_node.services.messages.messages import Messages
from nexa_node.services.sessions.live import LiveAgent


class Requests:
    """Sends a message and waits."""

    def __init__(self, messages: Messages, answers: Answers) -> None:
        """Join the two."""
        self._messages = messages
        self._answers = answers

    async def request(
        self,
        sender: str,
        said: RequestMessage,
        *,
        namespace: Namespace = DEFAULT_NAMESPACE,
        asker: LiveAgent | None = None,
    ) -> Json:
        """Send a message; return the data of the first answer.

        Args:
            sender: As for `Messages.send`.
            said: The message, and for how long its answer is wanted.
            namespace: The sender's.
            asker: Whose connection it is: the call ends with it.

        Raises:
            DeadlineExceeded: Nobody answered in time.
            Duplicate: A request with this id was sent before.
            Cancelled: The connection is over.
            Invalid, PayloadTooLarge, RateLimited, NoAgentAvailable, Unavailable: As
                for `Messages.send`.
        """
        if said.reply_to is not None:
            raise Invalid(
                "reply_to: of a request, the node chooses where the answer goes",
                remedy="leave reply_to out, or use message.send",
            )
        timeout_s = said.timeout_ms / 1000
        with self._answers.expect(
            namespace, timeout_s=timeout_s, asker=asker
        ) as waiting:
            asked = msgspec.structs.replace(said, reply_to=waiting.address)
            routed = await self._messages.route(sender, asked, namespace=namespace)
            if routed.sent.duplicate:
                raise Duplicate(
                    f"a request with the id {routed.sent.id} was sent before: its answer"
                    " goes to the call that sent it first",
                    remedy="send it with an id of its own",
                )
            if routed.receiver is not None:
                self._answers.sent_to(waiting, (namespace, routed.receiver))
            outcome = await waiting.outcome
        if isinstance(outcome, Message):
            return outcome.data
        if outcome == TOO_LATE:
            raise DeadlineExceeded(
                f"no answer within {said.timeout_ms:,} ms to request {routed.sent.id}",
                details={"id": routed.sent.id},
            )
        raise Cancelled(f"nobody waits for the answer any more: {outcome}")
