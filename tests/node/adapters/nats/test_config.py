"""The server is closed to all but us."""

import asyncio
import stat
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError, NoServersError

from nexa_node.adapters.nats import private
from nexa_node.adapters.nats.config import Layout, new_key, quoted, render
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.nats.store import NatsStore
from nexa_node.adapters.nats.topology import plan
from nexa_node.core.policies import RetentionPolicy
from tests.node.adapters.nats.tools import opened


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def url(store: NatsStore) -> str:
    return "nats://" + store.health().detail.rpartition(" ")[2]


async def test_secrets_are_for_this_user_alone(store: NatsStore, folder: Path) -> None:
    secret = ["nats.conf", "nats/app.seed", "nats/sys.seed", "nats/server.pid"]
    public = ["nats/server.log", "nats/server.out", "jetstream/nexa-store.json"]

    assert [mode(folder / name) for name in secret + public] == [0o600] * 7
    assert mode(folder / "nats") == mode(folder / "jetstream") == 0o700


async def test_every_write_is_synced_and_nothing_else_is_open(
    store: NatsStore, folder: Path
) -> None:
    conf = (folder / "nats.conf").read_text()

    assert "sync_interval: always" in conf
    assert 'listen: "127.0.0.1:' in conf
    for other in ("http", "mqtt", "websocket", "leafnodes", "cluster", "gateway"):
        assert other not in conf
    log = (folder / "nats" / "server.log").read_text()
    assert "Starting http monitor" not in log


@pytest.mark.parametrize("credentials", ["none", "foreign", "password"])
async def test_nobody_gets_in_without_our_key(
    store: NatsStore, tmp_path: Path, credentials: str
) -> None:
    options: dict[str, object] = {}
    if credentials == "foreign":
        options["nkeys_seed_str"] = new_key(tmp_path / "foreign.seed").seed
    if credentials == "password":
        options |= {"user": "nexa", "password": "nexa"}

    async def quiet(_: Exception) -> None: ...

    client = Client()
    with pytest.raises((NatsError, NoServersError), match=r"(?i)authorization"):
        await client.connect(
            url(store), allow_reconnect=False, error_cb=quiet, **options
        )
    await client.close()


async def test_our_key_gets_in(store: NatsStore, folder: Path) -> None:
    client = Client()
    await client.connect(url(store), nkeys_seed=str(folder / "nats" / "app.seed"))
    info = await client.jetstream().account_info()
    await client.close()

    assert info.streams == len(plan(RetentionPolicy()))


async def test_the_system_account_gets_the_figures(
    store: NatsStore, folder: Path
) -> None:
    client = Client()
    await client.connect(url(store), nkeys_seed=str(folder / "nats" / "sys.seed"))
    answer = await client.request("$SYS.REQ.SERVER.PING.VARZ", timeout=2)
    await client.close()

    assert b'"max_connections":64' in answer.data.replace(b" ", b"")


async def test_keys_are_new_with_each_start(folder: Path) -> None:
    seeds = set()
    for _ in range(2):
        async with opened(folder):
            seeds.add((folder / "nats" / "app.seed").read_text())

    assert len(seeds) == 2


async def test_any_folder_name_will_do(tmp_path: Path) -> None:
    odd = tmp_path / "a b\"c\\n$HOME'é; #{x}"
    async with opened(odd) as store:
        await store.round_trip()

    assert (odd / "jetstream" / "jetstream").is_dir()


def test_control_characters_do_not_reach_the_configuration() -> None:
    with pytest.raises(StoreFailed, match="control characters"):
        quoted("a\nauthorization: {}")


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link = tmp_path / "nats.conf"
    link.symlink_to(victim)
    private.write(link, b"ours")

    assert victim.read_text() == "precious"
    assert link.read_bytes() == b"ours"
    link.unlink()
    link.symlink_to(victim)
    with pytest.raises(StoreFailed, match="can't be read"):
        private.read(link)


async def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    in_the_way = tmp_path / "alpha"
    in_the_way.write_text("a file")

    with pytest.raises(StoreFailed, match="can't be written"):
        async with opened(in_the_way):
            pass


def test_a_file_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(StoreFailed, match="can't be written") as refused:
        private.write(tmp_path / "there", b"x")

    assert "writable" in (refused.value.remedy or "")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_port_is_the_one_asked_for(tmp_path: Path) -> None:
    tmp_path.joinpath("keys").mkdir()
    key = new_key(tmp_path / "keys" / "a")
    conf = render(
        Layout(tmp_path), name="alpha", port=4711, max_bytes=77, app=key, system=key
    )

    assert 'listen: "127.0.0.1:4711"' in conf
    assert "max_file_store: 77" in conf
    assert key.seed not in conf


async def test_it_is_deaf_beyond_loopback(store: NatsStore) -> None:
    port = int(url(store).rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.wait_for(asyncio.open_connection("127.0.0.2", port), 2)
