"""Asking a person with the plan of the node, and doing just that.

If something changed between the look and the deed the node refuses it, and says what.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from nexa_tui.client.api import Deed
from nexa_tui.screens.session import Session
from nexa_tui.state.effects import Effect, planned

Work = Callable[[], Coroutine[Any, Any, None]]


async def confirm_planned(
    session: Session,
    effect: Effect,
    deed: tuple[Deed, str],
    call: Callable[[str], Coroutine[Any, Any, None]],
    confirm: Callable[[Effect, Work], None],
) -> None:
    """Ask the node for the plan, then the person.

    Args:
        session: Where the node is.
        effect: What is known of the deed here.
        deed: What, and to whom.
        call: Does it, by the id of a plan.
        confirm: Asks the person, and does it after a yes.

    Raises:
        NexaError: The node makes no plan: it can't be done, or may not.
    """
    client = session.client
    if client is None:
        return
    plan = await client.plan(*deed)
    confirm(planned(effect, plan), partial(call, plan.id))
