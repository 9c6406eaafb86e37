"""The first credential of a node: an admin's token in a file, until it is used up.

A node that nobody can administer yet writes one, for programs on this machine. Whoever
logs in by it gets a token of his own (`nexa login --local`), and the first one is over:
the file goes, and no later start makes another while anybody can administer the cluster.
"""

import secrets

from nexa_node.adapters.nats.store import NatsStore
from nexa_node.core.access import TOKEN_ENTROPY, make_token, parse_token
from nexa_node.wiring.core import Core
from nexa_node.wiring.place import Place

ROLE = "admin"


class FirstToken:
    """Keeps the file and the record in step."""

    def __init__(self, place: Place, store: NatsStore, core: Core) -> None:
        """Do nothing before `keep`."""
        self._folder = place.folder
        self._name = place.identity.name
        self._store = store
        self._access = core.access
        self._journal = core.journal
        core.access.on_revoked(self._revoked)

    async def keep(self) -> None:
        """See that the file opens the node, or that there is none.

        Raises:
            Invalid: The file was changed.
            Unavailable: The store does not answer.
        """
        access, folder = self._access, self._folder
        kept = folder.admin_token()
        if kept is not None:
            if await access.ensure(ROLE, name="first", token=kept, kept=True):
                return
            self._drop("it was revoked")
        shared = self._store.member is not None or self._store.is_shared
        joined = shared and not folder.is_admin_token_used()
        made = new_token()
        if await access.ensure(
            ROLE,
            name=f"first of {self._name}" if joined else "first",
            token=made,
            admitted=joined,
        ):
            folder.keep_admin_token(made)

    def _revoked(self, token_id: str) -> None:
        kept = self._folder.admin_token()
        parsed = None if kept is None else parse_token(kept)
        if parsed is not None and parsed.id == token_id:
            self._drop("it was used up, or revoked")

    def _drop(self, why: str) -> None:
        self._folder.drop_admin_token()
        self._journal.record(
            "access.first_token_gone",
            subject=f"node/{self._name}",
            message=f"the first admin's token of {self._name} is gone: {why}",
            data={"node": self._name},
        )


def new_token() -> str:
    """Draw a token that nobody has."""
    return make_token(secrets.token_bytes(TOKEN_ENTROPY)).text
