"""Servers shared by the tests of one worker: starting them takes a second or two."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.adapters.probes import servers
from tests.node.adapters.probes.certificates import Pair, make
from tests.node.adapters.probes.servers import Running


@pytest.fixture(scope="session")
def authority() -> Pair:
    return make(names=())


@pytest.fixture(scope="session")
def good(authority: Pair) -> Pair:
    return make(issuer=authority)


@pytest.fixture
def ca_file(authority: Pair, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.pem)
    return str(path)


@pytest.fixture(scope="session")
def postgres(good: Pair) -> Iterator[Running]:
    with servers.postgres(good.pem, good.key_pem) as running:
        yield running


@pytest.fixture(scope="session")
def redis() -> Iterator[Running]:
    with servers.redis() as running:
        yield running
