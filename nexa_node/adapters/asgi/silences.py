"""Silences: alerts of which nobody is to be told for a while."""

from typing import Any

from nexa_node.adapters.asgi import alert_examples as examples
from nexa_node.adapters.asgi.operation import Call, Operation, Told
from nexa_node.contract.alerts import NewSilence, Silence, SilencePreview
from nexa_node.contract.errors import NotFound, Unavailable
from nexa_node.contract.rest import Page


async def list_silences(call: Call[Any, None]) -> Page[Silence]:
    """All of them, what ends first, first; then those that are over."""
    return call.api.silences(call.identity)


async def create_silence(call: Call[Any, NewSilence]) -> Told:
    """Make one."""
    made = await call.api.create_silence(call.identity, call.body)
    return Told(made, status=201)


async def preview_silence(call: Call[Any, NewSilence]) -> SilencePreview:
    """Say what one would do."""
    return await call.api.preview_silence(call.identity, call.body)


async def expire_silence(call: Call[Any, None]) -> None:
    """End one."""
    await call.api.expire_silence(call.identity, call.path["id"][:200])


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/silences",
        action="silences",
        tag="alerts",
        summary="List silences",
        description="Those that are over are kept for five days.",
        handler=list_silences,
        answer=Page[Silence],
        example=examples.SILENCES,
    ),
    Operation(
        method="POST",
        path="/v1/silences",
        action="create_silence",
        tag="alerts",
        summary="Silence alerts",
        handler=create_silence,
        body=NewSilence,
        body_example=examples.NEW_SILENCE,
        answer=Silence,
        example=examples.SILENCE,
        status=201,
        errors=(Unavailable,),
    ),
    Operation(
        method="POST",
        path="/v1/silences/preview",
        action="preview_silence",
        tag="alerts",
        summary="Say what a silence would hide, and would have hidden in the last 24 h",
        handler=preview_silence,
        body=NewSilence,
        body_example=examples.NEW_SILENCE,
        answer=SilencePreview,
        example=examples.PREVIEW,
    ),
    Operation(
        method="DELETE",
        path="/v1/silences/{id}",
        action="expire_silence",
        tag="alerts",
        summary="End a silence",
        handler=expire_silence,
        status=204,
        errors=(NotFound, Unavailable),
    ),
)
