"""Which deed belongs to which action about tokens and the audit."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from nexa_node.contract.access import TokenView
from nexa_tui.screens.cluster_deeds import Confirm, Office
from nexa_tui.state.text import clean

if TYPE_CHECKING:
    from nexa_tui.screens.access_deeds import AccessDeeds


class Viewing(Office, Protocol):
    """An office that knows what is looked at."""

    def viewed(self) -> object:
        """The view that is seen."""
        ...


def access_doing(desk: Viewing, confirm: Confirm) -> dict[str, Callable[[str], None]]:
    """The actions by their ids; forms are imported when one is first wanted."""

    def deeds() -> "AccessDeeds":
        from nexa_tui.screens.access_deeds import AccessDeeds

        return AccessDeeds(desk, confirm)

    def of_token(deed: str) -> Callable[[str], None]:
        def done(key: str) -> None:
            token = getattr(desk.viewed(), "current", lambda: None)()
            if isinstance(token, TokenView) and key in {"", token.id}:
                getattr(deeds(), deed)(token)
                return
            told = f"no token {clean(key, 60)}" if key else "choose a token first"
            desk.tell(f"{told}; nexa token list", severity="warning")

        return done

    return {
        "token-create": lambda _: deeds().create(),
        "token-rotate": of_token("rotate"),
        "token-revoke": of_token("revoke"),
        "audit-verify": lambda _: deeds().verify(),
    }
