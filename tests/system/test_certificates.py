"""Certificates of the routes are made anew while everybody talks, and come into use."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.system.calling import Callers
from tests.system.conftest import end, until
from tests.system.town import Town

LIFE_S = 18
SHORT = ("--set", f"cluster.certificate_hours={LIFE_S / 3600}")

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.end()


def certificate(town: Town, name: str) -> bytes:
    return (town[name].home / f"state/node/{name}/tls/node.pem").read_bytes()


def authorities(town: Town, name: str) -> tuple[bytes, ...]:
    tls = town[name].home / f"state/node/{name}/tls"
    return tuple(
        (tls / f"{which}.pem").read_bytes() for which in ("node-ca", "client-ca")
    )


def password(town: Town, name: str) -> str:
    place = (town[name].home / f"state/node/{name}/cluster.json").read_bytes()
    return str(msgspec.json.decode(place)["route_password"])


def kill_store(town: Town, name: str) -> int:
    """Kill the nats-server of a node; its pid."""
    pid = town.target(name).pid
    assert pid is not None
    children = psutil.Process(pid).children()
    (store,) = [each for each in children if "nats-server" in each.name()]
    store.kill()
    return store.pid


def test_certificates_are_renewed_twice_over_while_messages_flow(town: Town) -> None:
    alpha = town.found("alpha", *SHORT)
    beta = town.join("beta", "alpha", words=SHORT)
    first = {name: certificate(town, name) for name in ("alpha", "beta")}
    agent = alpha.agent("worker", "job", "echo", "1", options=("--slots", "4"))
    urls = [town.target(name).url for name in ("alpha", "beta")]
    token = town.target("alpha").token
    assert token is not None
    try:
        until(lambda: beta.connected("worker"), "it is there")
        with Callers(urls, token) as callers:
            seen = {name: {first[name]} for name in first}

            def renewed_twice() -> bool:
                for name, known in seen.items():
                    known.add(certificate(town, name))
                return all(len(known) >= 3 for known in seen.values())

            # By then the first ones are over: no route could be made with them.
            until(renewed_twice, "each was renewed twice", 4 * LIFE_S)
            called = callers.calls
            until(lambda: callers.calls > called + 40, "they call on")
            assert callers.failures == []

            # Of two nodes neither may fail: what comes until it is back is refused.
            kill_store(town, "beta")
            until(
                lambda: town.status("alpha")["quorum"]["have"] == 2, "routes again", 30
            )
            called = callers.calls
            until(lambda: callers.calls > called + 40, "they call on", 30)
    finally:
        end(agent)

    kinds = beta("events", "--kind", "certificate.", "--limit", "200", "--json").json()
    told = {(one["kind"], one["subject"]) for one in kinds["items"]}
    assert told == {
        ("certificate.renewed", "node/alpha"),
        ("certificate.renewed", "node/beta"),
    }


def test_all_keys_are_changed_while_messages_flow_and_an_old_copy_is_worth_nothing(
    town: Town,
) -> None:
    alpha = town.found("alpha")
    names = ("alpha", "beta", "gamma")
    for name in names[1:]:
        town.join(name, "alpha")
    until(lambda: town.copies("alpha") == {3}, "three copies of everything", 60)
    old = {name: (authorities(town, name), password(town, name)) for name in names}
    agent = alpha.agent("worker", "job", "echo", "1", options=("--slots", "4"))
    token = town.target("alpha").token
    assert token is not None
    try:
        until(lambda: town["beta"].connected("worker"), "it is there")
        with Callers([town.target(name).url for name in names], token) as callers:
            until(lambda: callers.calls > 60, "they call")
            rotated = town["beta"]("cluster", "rotate", "--yes")
            assert rotated.code == 0, rotated.err
            called = callers.calls
            until(lambda: callers.calls > called + 60, "they call on")
            kill_store(town, "gamma")
            called = callers.calls
            until(
                lambda: town.status("alpha")["quorum"]["have"] == 3, "routes again", 30
            )
            until(lambda: callers.calls > called + 60, "they call on", 30)
        assert callers.failures == []
    finally:
        end(agent)
    new = {name: (authorities(town, name), password(town, name)) for name in names}
    assert len(set(new.values())) == 1
    for name in names:
        assert not set(new[name][0]) & set(old[name][0])
        assert new[name][1] != old[name][1]

    # The new keys are what a restart and a newcomer are given, too.
    restarted = town["gamma"]("node", "restart")
    assert restarted.code == 0, restarted.err
    town.join("delta", "gamma")
    until(lambda: town.status("delta")["quorum"]["have"] == 4, "four vote", 40)

    # One that was away meanwhile would be shut out: it is refused before.
    town.kill("alpha")
    until(lambda: town.nodes("beta")["alpha"]["state"] == "error", "it is dead", 30)
    refused = town["beta"]("cluster", "rotate", "--yes")
    assert refused.code == 1
    assert "alpha would be shut out" in refused.err
