"""The way to a NATS of somebody else's: TLS, certificates, JWTs, and the guide's example."""

import base64
import hashlib
import json
import os
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import nkeys
import pytest

from nexa_node.adapters.nats.attached.access import addresses, read_access
from nexa_node.adapters.nats.attached.store import open_attached
from nexa_node.adapters.nats.failures import StoreFailed
from nexa_node.adapters.tls.authority import make
from nexa_node.contract.errors import NexaError
from nexa_node.core.policies import RetentionPolicy, StorePolicy
from tests.nats_of_theirs import BODY, Theirs, bundled, running, secret
from tests.node.adapters.nats.cluster_tools import trust

ROOT = Path(__file__).parents[5]


async def connected(tmp_path: Path, url: str, **more: Any) -> str:
    policy = StorePolicy(mode="attached", urls=(url,), **more)
    async with open_attached(
        policy,
        tmp_path / "alpha",
        retention=RetentionPolicy(),
        on_change=lambda _: None,
        cluster="nexa",
        node="alpha",
    ) as store:
        await store.round_trip()
        return store.health().detail


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    folder = trust(
        tmp_path / "tls", make("nodes", cluster="x", now=datetime.now(UTC)), "theirs"
    )
    (folder / "node.key").chmod(0o600)
    return folder


def tls_body(tls: Path) -> str:
    return BODY + (
        f'tls {{{{ cert_file: "{tls}/node.pem", key_file: "{tls}/node.key",'
        f' ca_file: "{tls}/node-ca.pem", verify: true }}}}\n'
    )


@pytest.fixture
async def secured(tmp_path: Path, tls: Path) -> Any:
    with running(tmp_path / "theirs", await bundled(), tls_body(tls)) as server:
        yield server


async def test_both_prove_themselves_by_certificates(
    secured: Theirs, tmp_path: Path, tls: Path
) -> None:
    ours = {
        "ca_file": str(tls / "node-ca.pem"),
        "cert_file": str(tls / "node.pem"),
        "key_file": str(tls / "node.key"),
    }
    url = secured.url.replace("nats://", "tls://")
    assert url in await connected(tmp_path, url, **ours)


async def test_a_server_that_is_not_trusted_is_not_talked_to(
    secured: Theirs, tmp_path: Path
) -> None:
    with pytest.raises(
        StoreFailed, match="a certificate that is not trusted"
    ) as refused:
        await connected(tmp_path, secured.url)
    assert "ca_file" in str(refused.value.remedy)


async def test_without_our_certificate_the_servers_word_is_told(
    secured: Theirs, tmp_path: Path, tls: Path
) -> None:
    with pytest.raises(NexaError) as refused:
        await connected(
            tmp_path,
            secured.url,
            ca_file=str(tls / "node-ca.pem"),
            request_timeout_ms=300,
        )
    assert secured.url in refused.value.message


async def test_tls_that_was_asked_for_is_not_given_up(tmp_path: Path) -> None:
    with running(tmp_path / "theirs", await bundled()) as server:
        url = server.url.replace("nats://", "tls://")
        with pytest.raises(StoreFailed, match="does not speak TLS"):
            await connected(tmp_path, url)


async def test_a_password_is_not_sent_in_the_clear(tmp_path: Path) -> None:
    body = BODY + 'authorization {{ token: "s3cr3t" }}\n'
    server = Theirs(tmp_path / "theirs", await bundled(), body)
    server.configure()
    text = server.conf.read_text().replace("127.0.0.1", "0.0.0.0")
    server.configure = lambda: server.conf
    server.conf.write_text(text)
    path = secret(tmp_path / "token", "s3cr3t")
    try:
        server.start()
        elsewhere = server.url.replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(StoreFailed, match="the password in the clear"):
            await connected(tmp_path, elsewhere, token_file=path)
    finally:
        server.stop()


# -- JWTs, as `nsc` makes them -------------------------------------------------


def pair(prefix: int) -> Any:
    made: Any = nkeys
    return made.from_seed(bytearray(made.encode_seed(os.urandom(32), prefix)))


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwt(issuer: Any, subject: Any, kind: str, **nats: Any) -> str:
    claims = {
        "iat": int(time.time()),
        "iss": bytes(issuer.public_key).decode(),
        "sub": bytes(subject.public_key).decode(),
        "name": kind,
        "nats": {"type": kind, "version": 2, **nats},
    }
    raw = json.dumps(claims, separators=(",", ":")).encode()
    claims["jti"] = base64.b32encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
    head = b64(b'{"typ":"JWT","alg":"ed25519-nkey"}')
    text = f"{head}.{b64(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"{text}.{b64(issuer.sign(text.encode()))}"


@pytest.fixture
def by_jwt() -> tuple[str, str]:
    """A server's configuration, and a creds file for it."""
    operator, account, user = (
        pair(nkeys.PREFIX_BYTE_OPERATOR),
        pair(nkeys.PREFIX_BYTE_ACCOUNT),
        pair(nkeys.PREFIX_BYTE_USER),
    )
    free = dict.fromkeys(
        ("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1
    )
    limits = {**free, "wildcards": True, "mem_storage": -1, "disk_storage": -1}
    limits |= {"streams": -1, "consumer": -1}
    of_account = jwt(operator, account, "account", limits=limits)
    of_user = jwt(account, user, "user", subs=-1, data=-1, payload=-1)
    name = bytes(account.public_key).decode()
    theirs = pair(nkeys.PREFIX_BYTE_ACCOUNT)
    system = bytes(theirs.public_key).decode()
    of_system = jwt(operator, theirs, "account", limits=free | {"wildcards": True})
    body = (
        f"operator: {jwt(operator, operator, 'operator')}\nresolver: MEMORY\n"
        f"system_account: {system}\n"
        f"resolver_preload: {{{{ {name}: {of_account}, {system}: {of_system} }}}}\n"
    )
    creds = (
        f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n"
        "-----BEGIN USER NKEY SEED-----\n"
        f"{bytes(user.seed).decode()}\n------END USER NKEY SEED------\n"
    )
    return BODY + body, creds


async def test_a_creds_file_proves_who_we_are(
    tmp_path: Path, by_jwt: tuple[str, str]
) -> None:
    body, creds = by_jwt
    path = secret(tmp_path / "nexa.creds", creds)
    with running(tmp_path / "theirs", await bundled(), body) as server:
        assert server.url in await connected(tmp_path, server.url, creds_file=path)


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("creds_file", "nothing", "has no user's JWT and seed"),
        ("nkey_file", "SUnonsense", "has no seed of an nkey"),
        ("token_file", " \n", "is empty"),
    ],
)
def test_a_file_that_is_none_is_told(
    tmp_path: Path, key: str, text: str, says: str
) -> None:
    path = secret(tmp_path / "file", text)
    with pytest.raises(StoreFailed, match=says):
        read_access(msgspec.convert({"mode": "attached", key: path}, StorePolicy))


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="No such file"):
        read_access(StorePolicy(mode="attached", nkey_file=str(tmp_path / "none")))
    with pytest.raises(StoreFailed, match="is no file"):
        read_access(StorePolicy(mode="attached", nkey_file=str(tmp_path)))
    with pytest.raises(StoreFailed, match="ca_file"):
        read_access(StorePolicy(mode="attached", ca_file=str(tmp_path / "none")))
    key = secret(tmp_path / "key", "no key")
    with pytest.raises(StoreFailed, match="cert_file"):
        read_access(StorePolicy(mode="attached", cert_file=key, key_file=key))


def test_addresses_are_written_as_they_are_read() -> None:
    urls = ("nats://a.example", "tls://[::1]:4333")
    found = addresses(StorePolicy(mode="attached", urls=urls))
    assert [str(one) for one in found] == ["nats://a.example:4222", "tls://[::1]:4333"]
    assert [one.is_local for one in found] == [False, True]


async def test_the_guides_configuration_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs/attach.md").read_text()
    found = re.search(r"<!-- checked: nats.conf -->\n```\n(.*?)```", page, re.DOTALL)
    assert found is not None
    conf = tmp_path / "nats.conf"
    conf.write_text(found[1].replace("/var/lib/nats", str(tmp_path / "data")))
    done = subprocess.run(
        [await bundled(), "-t", "-c", str(conf)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
