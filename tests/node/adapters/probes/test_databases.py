"""PostgreSQL and Redis, Debian's own, started for this."""

import asyncio
import contextlib
from pathlib import Path

import asyncpg
import pytest

from tests.node.adapters.probes import servers
from tests.node.adapters.probes.certificates import Pair
from tests.node.adapters.probes.servers import (
    PLACE,
    Running,
    look,
    saying,
    secret,
    serving,
)


@pytest.fixture
def right(tmp_path: Path, postgres: Running) -> str:
    return secret(tmp_path, postgres.password)


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("{}", {"username": "app", "database": "postgres"}),
        ("postgresql://app@{}/postgres", {}),
        ("postgres://app@{}/postgres?sslmode=disable", {}),
        ("postgres://app@{}/postgres?sslmode=require", {}),
    ],
)
async def test_postgres_lets_us_in_and_tells_its_version(
    target: str, settings: dict[str, str], postgres: Running, right: str
) -> None:
    outcome = await look(
        "postgres", target.format(postgres.at), password_file=right, **settings
    )

    assert outcome.status == "pass", outcome
    assert str(outcome.detail).startswith("PostgreSQL ")
    assert "database postgres as app" in str(outcome.detail)


async def test_postgres_certificate_is_verified_with_ca_file(
    postgres: Running, right: str, ca_file: str
) -> None:
    target = f"postgres://app@{postgres.at}/postgres"
    outcome = await look("postgres", target, password_file=right, ca_file=ca_file)

    assert outcome.status == "pass", outcome


async def test_postgres_certificate_of_an_unknown_authority_fails(
    postgres: Running, right: str
) -> None:
    target = f"postgres://app@{postgres.at}/postgres?sslmode=verify-full"
    outcome = await look("postgres", target, password_file=right)

    assert outcome.status == "fail"
    assert "does not trust" in str(outcome.cause)


@pytest.mark.parametrize("content", ["wrong", None])
async def test_postgres_refuses_a_wrong_or_missing_password(
    content: str | None, postgres: Running, tmp_path: Path
) -> None:
    path = "" if content is None else secret(tmp_path, content)
    outcome = await look(
        "postgres", f"postgres://app@{postgres.at}/postgres", password_file=path
    )

    assert outcome.status == "fail"
    assert f"{postgres.at} refused app: " in str(outcome.cause)
    assert (
        f'correct username and password_file in [[check]] name = "it" of {PLACE}'
        in (str(outcome.remedy))
    )


async def test_postgres_that_speaks_no_tls_well_is_told() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"S")
        await reader.read(1024)
        writer.write(b"nonsense" * 100)
        await reader.read()

    async with serving(talk) as port:
        target = f"postgres://127.0.0.1:{port}/x?sslmode=require"
        outcome = await look("postgres", target)

    assert outcome.status == "fail"
    assert "TLS" in str(outcome.cause)


async def test_a_postgres_that_starts_up_is_not_ready() -> None:
    fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
    said = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(said)
        await reader.read()

    async with serving(talk) as port:
        target = f"postgres://app@127.0.0.1:{port}/x?sslmode=disable"
        outcome = await look("postgres", target)

    assert outcome.status == "fail"
    assert "is not ready: the database system is starting up" in str(outcome.cause)


async def test_postgres_takes_no_password_from_the_environment(
    postgres: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    outcome = await look("postgres", f"postgres://app@{postgres.at}/postgres")

    assert outcome.status == "fail"


async def test_postgres_without_that_database_says_how_to_make_it(
    postgres: Running, right: str
) -> None:
    outcome = await look(
        "postgres", f"postgres://app@{postgres.at}/orders", password_file=right
    )

    assert outcome.status == "fail"
    assert outcome.cause == f"there is no database orders at {postgres.at}"
    assert str(outcome.remedy).startswith("createdb orders")


async def taken(postgres: Running, stack: contextlib.AsyncExitStack) -> bool:
    """Take one more connection; whether there was one."""
    try:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=postgres.port,
            user="app",
            password=postgres.password,
            database="postgres",
        )
    except asyncpg.PostgresError:
        return False
    stack.push_async_callback(connection.close)
    return True


async def test_a_full_postgres_is_told(postgres: Running, right: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        while await taken(postgres, stack):
            pass
        outcome = await look(
            "postgres", f"postgres://app@{postgres.at}/postgres", password_file=right
        )
    assert outcome.status == "fail"
    assert "takes no more connections" in str(outcome.cause)
    assert "max_connections" in str(outcome.remedy)


@pytest.mark.parametrize("target", ["{}", "redis://{}", "redis://{}/3"])
async def test_redis_lets_us_in_and_answers_ping(
    target: str, redis: Running, tmp_path: Path
) -> None:
    path = secret(tmp_path, redis.password)
    outcome = await look("redis", target.format(redis.at), password_file=path)

    assert outcome.status == "pass", outcome
    assert str(outcome.detail).startswith("Redis ")
    assert "answered PING" in str(outcome.detail)


async def test_redis_with_a_user_of_its_own(redis: Running, tmp_path: Path) -> None:
    path = secret(tmp_path, redis.password)
    outcome = await look(
        "redis", f"redis://{redis.at}", username="default", password_file=path,
        database="2",
    )  # fmt: skip

    assert outcome.status == "pass"
    assert "database 2" in str(outcome.detail)


@pytest.mark.parametrize("content", ["wrong", None])
async def test_redis_refuses_a_wrong_or_missing_password(
    content: str | None, redis: Running, tmp_path: Path
) -> None:
    path = "" if content is None else secret(tmp_path, content)
    outcome = await look("redis", redis.at, password_file=path)

    assert outcome.status == "fail"
    assert f"{redis.at} refused the credentials" in str(outcome.cause)
    assert "password_file" in str(outcome.remedy)


async def test_redis_without_that_database_says_so(
    redis: Running, tmp_path: Path
) -> None:
    path = secret(tmp_path, redis.password)
    outcome = await look("redis", f"redis://{redis.at}/9", password_file=path)

    assert outcome.status == "fail"
    assert "DB index is out of range" in str(outcome.cause)
    assert "correct database" in str(outcome.remedy)


async def test_redis_under_tls(good: Pair, ca_file: str, tmp_path: Path) -> None:
    with servers.redis(good.pem, good.key_pem) as running:
        path = secret(tmp_path, running.password)
        outcome = await look(
            "redis", f"rediss://{running.at}", password_file=path, ca_file=ca_file
        )
        plain = await look("tls", running.at)

    assert outcome.status == "pass", outcome
    assert plain.status == "fail"


async def test_a_redis_that_still_loads_is_not_ready() -> None:
    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    async with serving(saying(b"", *[loading] * 20)) as port:
        outcome = await look("redis", f"127.0.0.1:{port}")

    assert outcome.status == "fail"
    assert "is not ready" in str(outcome.cause)


async def test_a_redis_that_does_not_tell_its_version_passes_all_the_same() -> None:
    async def talk(reader: object, writer: object) -> None:
        while words := await reader.readline():  # type: ignore[attr-defined]
            if words.strip() in {b"PING", b"SETNAME", b"SETINFO"}:
                writer.write(b"+PONG\r\n" if b"PING" in words else b"+OK\r\n")  # type: ignore[attr-defined]
            elif words.strip() == b"INFO":
                writer.write(b"-NOPERM no permissions to run 'info'\r\n")  # type: ignore[attr-defined]

    async with serving(talk) as port:
        outcome = await look("redis", f"127.0.0.1:{port}")

    assert (outcome.status, outcome.detail) == (
        "pass",
        "Redis, database 0, answered PING",
    )


async def test_a_password_that_a_hostile_server_says_back_is_blotted_out(
    tmp_path: Path,
) -> None:
    path = secret(tmp_path, "hunter-2-hunter")
    async with serving(saying(b"-ERR you said hunter-2-hunter\r\n")) as port:
        outcome = await look("redis", f"redis://127.0.0.1:{port}/0", password_file=path)

    assert outcome.status == "fail"
    assert "you said" in str(outcome.cause)
    assert "hunter-2-hunter" not in f"{outcome.cause}{outcome.detail}{outcome.remedy}"
