"""What one node audits, another one witnesses on its own disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import until
from tests.system.town import Town

pytestmark = [pytest.mark.timeout(200), pytest.mark.slow]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def test_another_node_keeps_and_compares_what_this_one_said(town: Town) -> None:
    town.found("alpha")
    town.join("beta", "alpha")
    until(
        lambda: town["alpha"]("token", "create", "--role", "viewer").code == 0,
        "the cluster takes changes",
    )
    witness = town["beta"].home / "state/node/beta/witness.jsonl"
    until(
        lambda: witness.exists() and '"chain":"alpha/' in witness.read_text(),
        "beta heard of alpha's audit",
        90,
    )
    assert witness.stat().st_mode & 0o777 == 0o600

    said = town["beta"]("audit", "verify", "--json")
    assert (said.code, said.json()["status"]) == (0, "ok")
    assert said.json()["witnesses"] >= 1

    # Whoever has alpha's disk takes one word back.
    (segment,) = (town["alpha"].home / "state/node/alpha/audit").iterdir()
    segment.write_bytes(
        segment.read_bytes().replace(b"tokens:create", b"tokens:creatE", 1)
    )
    broken = town["beta"]("audit", "verify", "--json")
    assert (broken.code, broken.json()["status"]) == (1, "broken")
    assert broken.json()["chain"].startswith("alpha/")
