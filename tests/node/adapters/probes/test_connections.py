"""What all kinds share: refused, silent, unresolved, slow, hostile."""

import asyncio
import contextlib
import errno
import os
import time
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from hypothesis import given, strategies as st

from nexa_node.adapters.host.clock import SystemClock
from nexa_node.adapters.probes.asking import Asking, Unfit
from nexa_node.adapters.probes.connectivity import probe
from nexa_node.adapters.probes.mending import of_os_error
from nexa_node.adapters.probes.targets import address, endpoint
from nexa_node.contract.checks import CheckResult
from nexa_node.core.policies import CheckSpec
from nexa_node.services.health.self_test import Check, SelfTests
from tests.node.adapters.probes.certificates import Pair
from tests.node.adapters.probes.servers import (
    PLACE,
    closed_port,
    hanging_up,
    look,
    saying,
    secret,
    serving,
    silent,
)

BY_TARGET = {
    "http": "http://127.0.0.1:{}/",
    "tcp": "127.0.0.1:{}",
    "tls": "127.0.0.1:{}",
    "nats": "nats://127.0.0.1:{}",
    "postgres": "postgresql://app@127.0.0.1:{}/app",
    "redis": "redis://127.0.0.1:{}/0",
    "smtp": "127.0.0.1:{}",
}
TALKING = {kind: target for kind, target in BY_TARGET.items() if kind != "tcp"}


@pytest.mark.parametrize(("kind", "target"), BY_TARGET.items())
async def test_a_closed_port_is_refused_and_the_setting_named(
    kind: str, target: str
) -> None:
    with closed_port() as port:
        outcome = await look(kind, target.format(port))

    assert outcome.status == "fail"
    assert outcome.cause == f"connection refused: nothing listens on 127.0.0.1:{port}"
    assert f'correct target in [[check]] name = "it" of {PLACE}' in str(outcome.remedy)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "can't be reached: No route"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "closed the connection"),
        (OSError(errno.EMFILE, "Too many open files"), "at: Too many open files"),
        (EOFError(), "closed the connection without an answer"),
        (ExceptionGroup("", [ConnectionRefusedError(111, "no")]), "connection refused"),
        (ValueError("odd \x1b"), "at: ValueError: odd \x1b"),
    ],
)
def test_every_error_has_a_cause_and_a_remedy(error: Exception, cause: str) -> None:
    asking = Asking(CheckSpec(name="it", kind="tcp", target="at"), PLACE, {})
    unfit = of_os_error(error, asking, where="at")

    assert cause in unfit.cause
    assert unfit.remedy


async def ran(spec: CheckSpec) -> tuple[CheckResult, float]:
    """Run one check as the self-test does; what it said, and how long that took."""
    check = Check(
        id="connectivity.it",
        group="connectivity",
        title="it",
        look=lambda: probe(spec, environ=dict(os.environ)),
        timeout_s=spec.timeout_ms / 1000,
        late_remedy="look at it",
    )
    began = time.perf_counter()
    run = await SelfTests([check], clock=SystemClock()).run_quietly()
    return run.checks[0], time.perf_counter() - began


@pytest.mark.parametrize(
    ("kind", "target"),
    [*TALKING.items(), ("http", "https://127.0.0.1:{}/"), ("redis", "rediss://127.0.0.1:{}")],
)  # fmt: skip
async def test_a_server_that_never_answers_fails_at_the_time_out_and_is_hung_up_on(
    kind: str, target: str
) -> None:
    await look(kind, "127.0.0.1:1")  # the driver's import is not what is timed
    async with serving(silent) as port:
        spec = CheckSpec(
            name="it", kind=kind, target=target.format(port), timeout_ms=300
        )
        result, took_s = await ran(spec)

    assert (result.status, result.cause) == ("fail", "no answer within 0.3 s")
    assert 0.29 < took_s < 2


async def test_a_server_that_only_takes_connections_is_enough_for_tcp() -> None:
    async with serving(silent) as port:
        outcome = await look("tcp", f"localhost:{port}")

    assert outcome.status == "pass"
    assert f"localhost:{port} took a connection in" in str(outcome.detail)


@pytest.mark.parametrize(("kind", "target"), TALKING.items())
async def test_a_server_that_hangs_up_is_told_so(kind: str, target: str) -> None:
    async with serving(hanging_up) as port:
        outcome = await look(kind, target.format(port))

    assert outcome.status == "fail"
    assert "127.0.0.1" in str(outcome.cause)
    assert outcome.remedy
    assert "Error" not in str(outcome.cause)


@pytest.mark.parametrize("kind", sorted(TALKING))
async def test_noise_is_a_failure_and_never_an_exception(kind: str) -> None:
    noise = b"\x1b]0;title\x07 \xff\xfe \x00\x01" * 50 + b"\r\n"
    async with serving(saying(noise, noise, noise)) as port:
        outcome = await look(kind, TALKING[kind].format(port))

    assert outcome.status == "fail"
    assert str(outcome.cause).isprintable()
    assert len(str(outcome.cause)) <= 300
    assert outcome.remedy


async def test_a_line_without_an_end_is_a_failure() -> None:
    async def endless(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"x" * 200_000)
        await reader.read()

    async with serving(endless) as port:
        outcome = await look("smtp", f"127.0.0.1:{port}")

    assert outcome.status == "fail"
    assert "a line without an end" in str(outcome.cause)


async def test_a_name_that_resolves_passes_with_its_addresses() -> None:
    outcome = await look("dns", "localhost")

    assert outcome.status == "pass"
    assert "localhost is " in str(outcome.detail)


@pytest.mark.parametrize(
    ("kind", "target"),
    [("dns", "no-such-name.invalid"), ("tcp", "no-such-name.invalid:80"),
     ("http", "http://no-such-name.invalid/"), ("redis", "no-such-name.invalid"),
     ("postgres", "no-such-name.invalid")],
)  # fmt: skip
async def test_a_name_that_does_not_resolve_is_named(kind: str, target: str) -> None:
    outcome = await look(kind, target)

    assert outcome.status == "fail"
    assert "no-such-name.invalid does not resolve" in str(outcome.cause)
    assert "getent hosts no-such-name.invalid" in str(outcome.remedy)


@pytest.mark.parametrize(
    ("kind", "target", "why"),
    [
        ("tcp", "nowhere", "is not host:port"),
        ("tcp", "host:notaport", "is not host:port"),
        ("tcp", "host:99999", "is not host:port"),
        ("tcp", ":80", "is not host:port"),
        ("tcp", "[::1:80", "is no address"),
        ("dns", "http://host/", "is not a host's name"),
        ("dns", "", "is not a host's name"),
        ("dns", "x" * 100 + ".invalid", "is not a host's name"),
        ("http", "http://" + "x" * 100 + ".invalid/", "is not host:port"),
        ("http", "host/path", "is not a URL"),
        ("http", "ftp://host/", "begins with ftp://, expected http://"),
        ("nats", "http://host:1", "begins with http://"),
        ("redis", "redis://host/nine", "database 'nine' is not a number"),
        ("postgres", "postgres://host/db?sslmode=maybe", "there is no sslmode 'maybe'"),
    ],
)
async def test_a_target_that_means_nothing_is_told(
    kind: str, target: str, why: str
) -> None:
    outcome = await look(kind, target)

    assert outcome.status == "fail"
    assert why in str(outcome.cause)
    assert PLACE in str(outcome.remedy)


@pytest.mark.parametrize("kind", ["http", "nats", "postgres", "redis"])
async def test_a_password_in_the_target_is_refused_and_not_repeated(kind: str) -> None:
    scheme = {"postgres": "postgresql"}.get(kind, kind)
    outcome = await look(kind, f"{scheme}://me:hunter2@127.0.0.1:1/x")

    assert outcome.status == "fail"
    assert "a password stands in the target" in str(outcome.cause)
    assert "password_file" in str(outcome.remedy)
    assert "hunter2" not in repr(outcome)


@pytest.mark.parametrize("kind", ["http", "nats", "postgres", "redis", "smtp"])
async def test_a_password_file_that_others_may_read_is_refused(
    kind: str, tmp_path: Path
) -> None:
    path = secret(tmp_path, "x", mode=0o644)
    async with serving(silent) as port:
        outcome = await look(kind, TALKING[kind].format(port), password_file=path)

    assert outcome.status == "fail"
    assert f"the password in {path} may be read by other users" in str(outcome.cause)
    assert f"chmod 600 {path}" in str(outcome.remedy)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("none", None, "No such file or directory"),
        (".", None, "not a regular file"),
        ("~no-such-user-here/x", None, "Could not determine home directory"),
        ("nul\0", None, "embedded null byte"),
        ("bytes", b"hunter2\xff", "it is not UTF-8"),
    ],
)
async def test_a_password_file_that_can_not_be_read_is_named(
    name: str, content: bytes | None, why: str, tmp_path: Path
) -> None:
    path = name if name.startswith("~") else str(tmp_path / name)
    if content is not None:
        Path(path).write_bytes(content)
        Path(path).chmod(0o600)
    outcome = await look("redis", "127.0.0.1:1", password_file=path)

    assert outcome.status == "fail"
    assert why in str(outcome.cause)
    assert "correct password_file" in str(outcome.remedy)
    assert "hunter2" not in repr(outcome)


async def test_nothing_blocks_the_loop(tmp_path: Path, good: Pair) -> None:
    path = secret(tmp_path, "x")
    async with serving(silent, context=good.context(tmp_path)) as port:
        for kind, target in BY_TARGET.items():  # what imports do is not what is meant
            await look(kind, target.format(1))
        buster = BlockBuster()
        # A program is started from the loop's own thread: asyncio has no other way.
        buster.functions["os.read"].can_block_in("subprocess.py", {"_execute_child"})
        buster.functions["os.read"].can_block_in("program.py", {"_read"})
        for call in ("os.path.abspath", "os.stat"):  # asyncpg looks for ~/.postgresql
            buster.functions[call].can_block_in(
                "connect_utils.py",
                {"_dot_postgresql_path", "_parse_connect_dsn_and_args"},
            )
        buster.activate()
        try:
            for kind, target in BY_TARGET.items():
                await look(kind, target.format(1), password_file=path)
            await look("tls", f"localhost:{port}")
            await look("exec", command=("echo", "hello"))
        finally:
            buster.deactivate()


@given(
    st.one_of(
        st.text(),
        st.from_regex(r"[a-z]{0,5}:?/?/?[^@]{0,5}@?\[?.{0,9}\]?:?[0-9]{0,6}/?.{0,5}"),
    )
)
def test_any_target_is_an_address_or_unfit(target: str) -> None:
    asking = Asking(CheckSpec(name="it", kind="redis", target=target), PLACE, {})

    for read in (
        lambda: endpoint(asking),
        lambda: address(asking, schemes=("redis", "rediss"), default_port=1).endpoint,
    ):
        with contextlib.suppress(Unfit):
            found = read()
            assert found.host
            assert 0 < found.port < 65536


async def test_slower_than_warn_ms_warns_and_says_how_slow() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with serving(slow) as port:
        outcome = await look("http", f"http://127.0.0.1:{port}", warn_ms=10)

    assert outcome.status == "warn"
    assert "more than the 10 ms of warn_ms" in str(outcome.cause)
    assert "raise warn_ms" in str(outcome.remedy)


async def test_quicker_than_warn_ms_passes() -> None:
    async with serving(silent) as port:
        outcome = await look("tcp", f"127.0.0.1:{port}", warn_ms=10_000)

    assert outcome.status == "pass"
