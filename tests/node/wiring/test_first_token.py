"""The first admin's token of a node: made when nobody is there, over once it is used up."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nexa_node.adapters.files.node_folder import NodeFolder
from nexa_node.contract.access import Identity, NewToken
from nexa_node.core.access import TOKEN_ENTROPY, make_token
from nexa_node.services.access.access import Access
from nexa_node.wiring.first_token import FirstToken, new_token
from tests.builders import identity
from tests.fakes import CountingEntropy, MemoryStore, RecordingJournal, settle
from tests.node.services.access.test_access import scene


class Home:
    """A node's folder, through several starts over one store."""

    def __init__(
        self, folder: Path, store: MemoryStore, *, shared: bool = False
    ) -> None:
        self.path = folder
        self.store = store
        self.shared = shared
        self.journal = RecordingJournal()

    async def start(self, access: Access) -> str | None:
        with NodeFolder(self.path) as folder:
            place: Any = SimpleNamespace(
                folder=folder, identity=SimpleNamespace(name="alpha")
            )
            store: Any = SimpleNamespace(member=None, is_shared=self.shared)
            core: Any = SimpleNamespace(access=access, journal=self.journal)
            await FirstToken(place, store, core).keep()
            return folder.admin_token()

    @property
    def file(self) -> str | None:
        path = self.path / "admin.token"
        return path.read_text().strip() if path.exists() else None


async def test_a_node_nobody_can_administer_writes_one_and_keeps_it(
    tmp_path: Path,
) -> None:
    async with scene() as it:
        home = Home(tmp_path / "n", it.store)
        made = await home.start(it.access)
        assert made is not None
        await settle()

        assert await home.start(it.access) == made
        assert (home.path / "admin.token").stat().st_mode & 0o777 == 0o600
        who = it.access.authenticate(made, address="127.0.0.1")
        assert (who.role, who.expires) == ("admin", None)


async def test_once_used_up_it_is_gone_and_no_start_makes_another(
    tmp_path: Path,
) -> None:
    for shared in (False, True):
        async with scene() as it:
            home = Home(tmp_path / f"n{shared}", it.store, shared=shared)
            first = await home.start(it.access)
            assert first is not None
            who = it.access.authenticate(first, address="127.0.0.1")
            mine = await it.access.create(NewToken(role="admin"), by=who)
            await settle()

            await it.access.revoke(first.split("_")[1], by=who)
            assert home.file is None
            assert home.journal.last("access.first_token_gone")
            await settle()

            assert await home.start(it.access) is None
            assert it.access.authenticate(mine.token, address="127.0.0.1")


async def test_one_that_was_revoked_elsewhere_is_never_good_again(
    tmp_path: Path,
) -> None:
    async with scene() as it:
        home = Home(tmp_path / "n", it.store)
        first = await home.start(it.access)
        assert first is not None
        brief = NewToken(role="admin", expires_s=60)
        await it.access.create(brief, by=identity("admin"))
        await it.store.tokens.delete(first.split("_")[1])
        await settle()
        await it.clock.advance(61)

        again = await home.start(it.access)

        assert again not in (None, first)
        it.refusal(first)


async def test_an_empty_store_takes_the_token_that_programs_have(
    tmp_path: Path,
) -> None:
    async with scene() as it:
        home = Home(tmp_path / "n", it.store)
        with NodeFolder(home.path) as folder:
            folder.keep_admin_token(kept := new_token())

        assert await home.start(it.access) == kept
        assert it.access.authenticate(kept, address="127.0.0.1").role == "admin"


async def test_the_node_calls_itself_by_a_token_that_no_store_has() -> None:
    access = Access(
        tokens=MemoryStore().tokens,
        clock=MemoryStore().clock,
        journal=RecordingJournal(),
        entropy=CountingEntropy(),
    )
    own = make_token(b"\x07" * TOKEN_ENTROPY).text
    access.admit_own(own)

    who: Identity = access.authenticate(own, address="127.0.0.1")

    assert who.role == "node"
    assert {one.allow for one in who.permissions or ()} == {
        "node:read",
        "sessions:open",
    }
    assert access.views() == ()
