"""A store in a NATS that a user runs: what it must be, and what it lives through."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nexa_node.adapters.nats.attached.looking import review
from nexa_node.adapters.nats.attached.store import AttachedStore, open_attached
from nexa_node.adapters.nats.failures import BinaryTooOld, StoreDamaged, StoreFailed
from nexa_node.contract.errors import Conflict, NexaError, Unavailable
from nexa_node.core.backups import Part, Piece
from nexa_node.core.policies import RetentionPolicy, StorePolicy
from tests import builders, debian
from tests.nats_of_theirs import (
    BODY,
    Theirs,
    bundled,
    free_port,
    new_user,
    running,
    secret,
    three,
    version_of,
)
from tests.node.adapters.nats.tools import eventually

KEEP = RetentionPolicy()


def policy(*urls: str, **more: Any) -> StorePolicy:
    return StorePolicy(mode="attached", urls=urls, **more)


@contextlib.asynccontextmanager
async def attached(
    told: StorePolicy,
    folder: Path,
    *,
    cluster: str = "nexa",
    retention: RetentionPolicy = KEEP,
    changes: list[str] | None = None,
) -> AsyncGenerator[AttachedStore]:
    heard = [] if changes is None else changes
    async with open_attached(
        told,
        folder,
        retention=retention,
        on_change=heard.append,
        cluster=cluster,
        node=folder.name,
    ) as store:
        yield store


async def refusal(told: StorePolicy, folder: Path, **more: Any) -> NexaError:
    with pytest.raises(NexaError) as refused:
        async with attached(told, folder, **more):
            pass
    assert refused.value.remedy
    return refused.value


@pytest.fixture
async def binary() -> str:
    return await bundled()


@pytest.fixture
def theirs(tmp_path: Path, binary: str) -> Iterator[Theirs]:
    with running(tmp_path / "theirs", binary) as server:
        yield server


async def raw(server: Theirs, subject: str, body: object = None) -> dict[str, Any]:
    """Ask JetStream as its operator would."""
    from nexa_node.adapters.nats.attached.upstream import Attachment

    session = await Attachment(policy(server.url), lambda _: None).dial()
    payload = b"" if body is None else json.dumps(body).encode()
    answer = json.loads((await session.request(f"$JS.API.{subject}", payload)).data)
    await session.close()
    return answer


async def test_it_works_without_a_process_of_its_own(
    theirs: Theirs, tmp_path: Path
) -> None:
    async with attached(policy(theirs.url), tmp_path / "alpha") as store:
        health = store.health()
        assert health.connected
        assert health.pid is None
        assert health.detail == (
            f"attached to nats-server 2.15.1 theirs at {theirs.url}"
        )
        assert (await store.round_trip()).publish_ms > 0
        await store.cluster.look()
        shape = store.cluster.shape()
        assert shape.attached
        assert shape.leader is None
        assert shape.routes == ()
        assert len(shape.streams) > 10
        await store.keep_settings()
        await store.read_anew()
        with pytest.raises(Conflict, match="attached"):
            store.forming(None, None)  # type: ignore[arg-type]  # refused before it looks
        with pytest.raises(Conflict, match="are a setting"):
            async for _ in store.cluster.set_replicas(3):
                pass


async def test_a_server_that_restarts_in_the_middle_loses_nothing_and_writes_once(
    theirs: Theirs, tmp_path: Path
) -> None:
    async with attached(policy(theirs.url), tmp_path / "alpha") as store:
        tasks = [builders.task(f"t-{number:03}") for number in range(60)]

        async def write() -> None:
            for task in tasks:
                assert await store.tasks.create(task) is not None

        writing = asyncio.create_task(write())
        await asyncio.sleep(0)
        theirs.kill()
        await eventually(lambda: not store.health().connected)
        assert "no server of the attached NATS answers" in store.health().detail or (
            not store.health().connected
        )
        theirs.start()
        await writing
        info = await raw(theirs, "STREAM.INFO.KV_nx_tasks")
        assert info["state"]["messages"] == info["state"]["last_seq"] == 60
        assert store.health().restarts == 1


async def test_of_several_servers_the_next_one_is_taken(
    tmp_path: Path, binary: str
) -> None:
    with three(tmp_path / "theirs", binary) as servers:
        changes: list[str] = []
        urls = [f"nats://127.0.0.1:{free_port()}", *(one.url for one in servers)]
        told = policy(*urls, replicas=3, request_timeout_ms=15_000)
        async with attached(told, tmp_path / "alpha", changes=changes) as store:
            first = next(
                one for one in servers if store.health().detail.endswith(one.url)
            )
            first.kill()
            await store.round_trip()
            assert len(changes) >= 1
            assert "is reached by" in changes[0]
            await store.cluster.look()
            places = [one for one in store.cluster.shape().streams if one.leader]
            assert places
            assert all(len(one.replicas) == 3 for one in places)
            gone = {r.node for one in places for r in one.replicas if not r.current}
            assert gone <= {first.name}
        raised = await review(told, cluster="nexa", retention=KEEP)
        assert len(raised.silent) == 2
        assert len(raised.seen) == 2


async def test_more_copies_than_servers_are_refused(
    theirs: Theirs, tmp_path: Path
) -> None:
    told = await refusal(policy(theirs.url, replicas=3), tmp_path / "alpha")
    assert "3 copies" in told.message
    assert "needs 3 servers" in str(told.remedy)


async def test_nobody_there_is_told_with_the_addresses(tmp_path: Path) -> None:
    url = f"nats://127.0.0.1:{free_port()}"
    told = await refusal(policy(url, request_timeout_ms=200), tmp_path / "alpha")
    assert isinstance(told, Unavailable)
    assert url in told.message
    with pytest.raises(StoreFailed, match="no server of the attached NATS answers"):
        await review(policy(url), cluster="nexa", retention=KEEP)


@pytest.mark.parametrize(
    ("body", "says", "mend"),
    [
        ("max_payload: 4MB", "no JetStream", "jetstream section"),
        (
            'jetstream {{ store_dir: "{store}" }}',
            "messages of 1048576 bytes at most (max_payload), and nexa needs 4194304",
            "max_payload: 4MB",
        ),
        (
            BODY + "accounts {{ A {{ users: [{{user: a, password: a}}] }} }}\n"
            "no_auth_user: a\n",
            "no JetStream for this account",
            "jetstream: enabled",
        ),
        (
            BODY + "accounts {{ A {{ jetstream: {{max_file: 1MB}},"
            " users: [{{user: a, password: a}}] }} }}\nno_auth_user: a\n",
            "allows 1048576 of storage (max_store), and nexa needs 1073741824",
            "account_bytes",
        ),
        (
            BODY + "accounts {{ A {{ jetstream: {{max_streams: 3}},"
            " users: [{{user: a, password: a}}] }} }}\nno_auth_user: a\n",
            "allows 3 of streams",
            "raise the limit",
        ),
    ],
)
async def test_a_nats_that_will_not_do_is_refused_with_what_mends_it(
    tmp_path: Path, binary: str, body: str, says: str, mend: str
) -> None:
    with running(tmp_path / "theirs", binary, body) as server:
        told = await refusal(policy(server.url), tmp_path / "alpha")
    assert isinstance(told, StoreFailed)
    assert says in told.message
    assert mend in str(told.remedy)


async def test_an_old_server_is_refused_by_found_and_needed(tmp_path: Path) -> None:
    if not debian.install("nats-server"):
        pytest.skip("needs a Debian, as root")
    old = shutil.which("nats-server", path="/usr/sbin:/usr/bin")
    assert old is not None
    assert version_of(old) < (2, 14, 3)
    version = ".".join(str(part) for part in version_of(old))
    body = 'jetstream {{ store_dir: "{store}" }}'
    with running(tmp_path / "theirs", old, body) as server:
        told = await refusal(policy(server.url), tmp_path / "alpha")
    assert isinstance(told, BinaryTooOld)
    assert f"nats-server {version}; 2.14.3 is the oldest" in told.message
    assert told.remedy == "update it to 2.14.3 or newer"


async def test_a_stream_of_theirs_that_would_lose_messages_is_refused(
    theirs: Theirs, tmp_path: Path
) -> None:
    strange = {
        "name": "KV_nx_tasks",
        "subjects": ["$KV.nx_tasks.>"],
        "storage": "memory",
        "retention": "limits",
        "max_msgs_per_subject": 64,
    }
    await raw(theirs, "STREAM.CREATE.KV_nx_tasks", strange)
    told = await refusal(policy(theirs.url), tmp_path / "alpha")
    assert "storage is memory and must be file" in told.message
    assert "max_msgs_per_subject is 64 and must be 1" in told.message
    assert "nats stream rm KV_nx_tasks" in str(told.remedy)
    assert "nats stream edit KV_nx_tasks --max-msgs-per-subject=1" in str(told.remedy)
    after = await raw(theirs, "STREAM.INFO.KV_nx_tasks")
    assert after["config"]["max_msgs_per_subject"] == 64


async def test_settings_whose_change_loses_nothing_are_adapted(
    theirs: Theirs, tmp_path: Path
) -> None:
    made = {
        "name": "KV_nx_roles",
        "subjects": ["$KV.nx_roles.>"],
        "max_msgs_per_subject": 1,
        "max_bytes": 1_000_000,
        "discard": "old",
        "description": "made by hand",
    }
    await raw(theirs, "STREAM.CREATE.KV_nx_roles", made)
    before = await review(policy(theirs.url), cluster="nexa", retention=KEEP)
    assert "to be adapted" in before.seen[1]
    async with attached(policy(theirs.url), tmp_path / "alpha") as store:
        await store.round_trip()
    config = (await raw(theirs, "STREAM.INFO.KV_nx_roles"))["config"]
    assert config["allow_atomic"]
    assert config["deny_delete"]
    assert config["max_bytes"] == -1
    assert config["discard"] == "new"
    assert config["description"] == "made by hand"
    assert config["metadata"]["nexa.cluster"] == "nexa"


async def test_an_age_limit_that_changed_is_the_controllers(
    theirs: Theirs, tmp_path: Path
) -> None:
    async with attached(policy(theirs.url), tmp_path / "alpha"):
        pass
    fewer = RetentionPolicy(events_hours=1)
    async with attached(
        policy(theirs.url), tmp_path / "alpha", retention=fewer
    ) as store:
        config = (await raw(theirs, "STREAM.INFO.NX_EVENTS"))["config"]
        assert config["max_age"] == 72 * 3600 * 10**9
        await store.keep_settings()
        config = (await raw(theirs, "STREAM.INFO.NX_EVENTS"))["config"]
        assert config["max_age"] == 3600 * 10**9


async def test_another_clusters_streams_are_not_written_into(
    theirs: Theirs, tmp_path: Path
) -> None:
    async with attached(policy(theirs.url), tmp_path / "alpha", cluster="one"):
        pass
    told = await refusal(policy(theirs.url), tmp_path / "beta", cluster="other")
    assert "belongs to the cluster 'one', and this node's is 'other'" in told.message


async def test_a_stream_that_was_removed_is_damage_and_not_made_anew(
    theirs: Theirs, tmp_path: Path
) -> None:
    async with attached(policy(theirs.url), tmp_path / "alpha"):
        pass
    await raw(theirs, "STREAM.DELETE.KV_nx_tasks")
    told = await refusal(policy(theirs.url), tmp_path / "alpha")
    assert isinstance(told, StoreDamaged)
    assert "no stream KV_nx_tasks any more" in told.message


PERMITTED = BODY + (
    "authorization {{ users: [{{ user: nexa, password: secret, permissions: {{"
    ' publish: {{ allow: ["$JS.API.>", "$JS.ACK.>", "$KV.>", "_INBOX.>", "nx.>"],'
    " deny: [{deny}] }}, subscribe: [{hear}] }} }}] }}\n"
)
ALL = '"_INBOX.>", "nx.>"'


def permitted(deny: str = "", hear: str = ALL) -> str:
    return PERMITTED.replace("{deny}", deny).replace("{hear}", hear)


def as_nexa(server: Theirs, tmp_path: Path, **more: Any) -> StorePolicy:
    path = secret(tmp_path / "password", "secret\n")
    return policy(server.url, username="nexa", password_file=path, **more)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (permitted('"$JS.API.INFO"'), "publish to $JS.API.INFO"),
        (permitted('"$JS.API.STREAM.CREATE.>"'), "publish to $JS.API.STREAM.CREATE."),
        (permitted('"nx.task.>"'), "publish to nx.task.q.check"),
        (permitted('"$KV.nx_roles.>"'), "publish to $KV.nx_roles.check"),
        (permitted('"$JS.ACK.>"'), "publish to $JS.ACK.check"),
        (permitted('"nx.beat.>"'), "publish to nx.beat.check"),
        (permitted(hear='"_INBOX.>"'), "subscribe to nx."),
    ],
)
async def test_what_is_not_permitted_is_named(
    tmp_path: Path, binary: str, body: str, says: str
) -> None:
    with running(tmp_path / "theirs", binary, body) as server:
        told = await refusal(as_nexa(server, tmp_path), tmp_path / "alpha")
    assert f"does not permit this node to {says}" in told.message


async def test_the_listed_permissions_are_enough(tmp_path: Path, binary: str) -> None:
    with running(tmp_path / "theirs", binary, permitted()) as server:
        told = as_nexa(server, tmp_path)
        async with attached(told, tmp_path / "alpha") as store:
            await store.round_trip()
            assert await store.tasks.create(builders.task("t-1")) is not None
            backups = store.streams(told, tmp_path / "alpha")
            async with backups.take("KV_nx_tasks") as (described, chunks):
                assert described.counts.messages == 1
                assert b"".join([chunk async for chunk in chunks])


async def test_a_backup_without_permission_is_refused_at_once(
    tmp_path: Path, binary: str
) -> None:
    body = permitted('"$JS.API.STREAM.SNAPSHOT.>"')
    with running(tmp_path / "theirs", binary, body) as server:
        told = as_nexa(server, tmp_path)
        async with attached(told, tmp_path / "alpha") as store:
            backups = store.streams(told, tmp_path / "alpha")
            with pytest.raises(StoreFailed, match=r"STREAM\.SNAPSHOT\.KV_nx_tasks"):
                async with backups.take("KV_nx_tasks"):
                    pass


async def test_wrong_credentials_are_refused_at_once(
    tmp_path: Path, binary: str
) -> None:
    with running(tmp_path / "theirs", binary, permitted()) as server:
        path = secret(tmp_path / "password", "wrong\n")
        told = policy(server.url, username="nexa", password_file=path)
        error = await refusal(told, tmp_path / "alpha")
        assert "refuses the credentials: Authorization Violation" in error.message
        assert "wrong" not in error.message
        Path(path).chmod(0o644)
        error = await refusal(told, tmp_path / "alpha")
        assert f"other users may read {path}" in error.message


async def test_an_nkey_and_a_token_prove_who_we_are(
    tmp_path: Path, binary: str
) -> None:
    seed, public = new_user()
    by_nkey = BODY + f"authorization {{{{ users: [{{{{ nkey: {public} }}}}] }}}}\n"
    with running(tmp_path / "nkey", binary, by_nkey) as server:
        path = secret(tmp_path / "seed", seed + "\n")
        async with attached(
            policy(server.url, nkey_file=path), tmp_path / "alpha"
        ) as s:
            assert s.health().connected
        other = secret(tmp_path / "other", new_user()[0])
        told = await refusal(policy(server.url, nkey_file=other), tmp_path / "beta")
        assert "refuses the credentials" in told.message
    by_token = BODY + 'authorization {{ token: "s3cr3t" }}\n'
    with running(tmp_path / "token", binary, by_token) as server:
        path = secret(tmp_path / "a-token", "s3cr3t\n")
        async with attached(
            policy(server.url, token_file=path), tmp_path / "gamma"
        ) as s:
            assert s.health().connected


async def test_a_domain_is_asked_by_its_own_name(tmp_path: Path, binary: str) -> None:
    body = BODY.replace("sync_interval", "domain: hub, sync_interval")
    with running(tmp_path / "theirs", binary, body) as server:
        told = policy(server.url, domain="hub")
        async with attached(told, tmp_path / "alpha") as store:
            await store.round_trip()
        told = policy(server.url, domain="elsewhere")
        error = await refusal(told, tmp_path / "beta")
        assert "no JetStream" in error.message


async def test_a_clock_that_is_elsewhere_is_refused(
    theirs: Theirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    from nexa_node.adapters.nats.attached import checks

    class Late:
        @staticmethod
        def time() -> float:
            return time.time() - 90

    monkeypatch.setattr(checks, "time", Late)
    told = await refusal(policy(theirs.url), tmp_path / "alpha")
    assert "ms ahead of this machine's; 1000 ms are allowed" in told.message


async def test_what_was_backed_up_is_restored_into_an_empty_one(
    tmp_path: Path, binary: str
) -> None:
    kept: dict[str, list[bytes]] = {}
    parts: list[Part] = []
    with running(tmp_path / "one", binary) as server:
        await raw(
            server, "STREAM.CREATE.ORDERS", {"name": "ORDERS", "subjects": ["orders"]}
        )
        told = policy(server.url)
        async with attached(told, tmp_path / "alpha") as store:
            for number in range(20):
                await store.tasks.create(builders.task(f"t-{number}"))
            backups = store.streams(told, tmp_path / "alpha")
            names = await backups.names()
            assert "ORDERS" not in names
            assert names[0] == "NX_TASKQ"
            for name in names:
                async with backups.take(name) as (described, chunks):
                    kept[name] = [chunk async for chunk in chunks]
                parts.append(
                    Part(
                        stream=described,
                        removed=0,
                        snapshot=Piece(name=name, size=0, sha256=""),
                    )
                )

    async def read(name: str) -> AsyncIterator[bytes]:
        for chunk in kept[name]:
            yield chunk

    with running(tmp_path / "two", binary) as server:
        told = policy(server.url)
        async with attached(told, tmp_path / "beta") as store:
            backups = store.streams(told, tmp_path / "beta")
            assert not (await backups.contents()).clustered
            phases = [phase async for phase, _ in backups.restore(tuple(parts), read)]
            assert phases[-1] == "start"
            assert (await backups.contents()).tasks == 20
            await store.round_trip()
            broken = kept["KV_nx_tasks"]
            kept["KV_nx_tasks"] = [broken[0][:50]]
            with pytest.raises(StoreFailed, match="KV_nx_tasks was not restored"):
                async for _ in backups.restore(tuple(parts), read):
                    pass
            assert (await backups.contents()).tasks == 0
            await store.round_trip()
