from typing import Any

import pytest

from nexa_node.contract.checks import SelfTest
from nexa_node.contract.nodes import Quorum
from nexa_node.core.health import REASONS_MAX, Facts, assess, assess_cluster
from nexa_node.core.policies import SelfTestPolicy
from tests import builders

LIMITS = SelfTestPolicy()


def facts(**overrides: Any) -> Facts:
    fields: dict[str, Any] = {
        "state": "running",
        "store_connected": True,
        "store_detail": "nats-server 2.15.1",
        "caught_up": True,
        "selftest": builders.selftest(),
        "host": builders.sample(),
    }
    return Facts(**{**fields, **overrides})


def checked(**check: Any) -> SelfTest:
    return builders.selftest(builders.check(**check))


def test_a_node_with_nothing_wrong_is_healthy_and_ready() -> None:
    found = assess(facts(), limits=LIMITS)

    assert (found.health, found.reasons) == ("healthy", ())
    assert found.ready.status == "ready"


@pytest.mark.parametrize(
    ("overrides", "health", "status", "words"),
    [
        ({"store_connected": False, "store_detail": "no answer on 4222"},
         "unhealthy", "not_ready", "no answer on 4222"),
        ({"state": "starting", "caught_up": False}, "unknown", "not_ready", "starting"),
        ({"caught_up": False}, "unknown", "not_ready", "still reading"),
        ({"state": "stopping"}, "unhealthy", "not_ready", "draining"),
        ({"state": "error"}, "unhealthy", "not_ready", "state is error"),
        ({"selftest": checked(id="machine.clock", status="warn", cause="no NTP")},
         "degraded", "degraded", "machine.clock: no NTP"),
        ({"selftest": checked(id="connectivity.db", status="fail", cause="refused")},
         "degraded", "degraded", "connectivity.db: refused"),
        ({"selftest": checked(id="connectivity.db", status="fail", cause="refused"),
          "required_failures": ("connectivity.db",)},
         "unhealthy", "not_ready", "connectivity.db: refused"),
        ({"required_failures": ("connectivity.gone",)},
         "unhealthy", "not_ready", "connectivity.gone: failed"),
        ({"selftest": checked(status="fail", cause=None, detail=None)},
         "degraded", "degraded", "node.store: fail"),
        ({"host": builders.sample(disk_free_bytes=10 * 1024**2)},
         "unhealthy", "not_ready", "10 MiB are free"),
        ({"host": builders.sample(disk_free_bytes=500 * 1024**2)},
         "degraded", "degraded", "500 MiB are free"),
    ],
)  # fmt: skip
def test_what_is_wrong_decides_the_verdict(
    overrides: dict[str, Any], health: str, status: str, words: str
) -> None:
    found = assess(facts(**overrides), limits=LIMITS)

    assert (found.health, found.ready.status) == (health, status)
    assert words in found.reasons[0]


def test_maintenance_is_a_state_and_no_fault() -> None:
    found = assess(facts(state="maintenance"), limits=LIMITS)

    assert (found.health, found.reasons) == ("healthy", ())
    assert found.ready.status == "degraded"
    assert "maintenance" in found.ready.reasons[0]


def test_before_the_first_self_test_and_sample_nothing_is_held_against_a_node() -> None:
    assert assess(facts(selftest=None, host=None), limits=LIMITS).health == "healthy"


def test_the_worst_reason_stands_first() -> None:
    found = assess(
        facts(selftest=checked(status="warn", cause="slow"), store_connected=False),
        limits=LIMITS,
    )

    assert found.health == "unhealthy"
    assert found.reasons[0].startswith("the store")
    assert found.reasons[1] == "node.store: slow"


def test_a_flood_of_reasons_is_summed_up() -> None:
    checks = [
        builders.check(f"connectivity.c{n}", status="fail", cause="refused")
        for n in range(30)
    ]
    found = assess(facts(selftest=builders.selftest(*checks)), limits=LIMITS)

    assert len(found.reasons) == REASONS_MAX
    assert found.reasons[-1] == "and 11 more reasons"


@pytest.mark.parametrize(
    ("healths", "quorum", "verdict"),
    [
        (("healthy",), Quorum(have=1, need=1), "healthy"),
        (("degraded",), Quorum(have=1, need=1), "degraded"),
        (("unhealthy",), Quorum(have=1, need=1), "unhealthy"),
        (("unknown",), Quorum(have=1, need=1), "unknown"),
        (("healthy", "healthy", "unhealthy"), Quorum(have=3, need=2), "degraded"),
        (("healthy", "unhealthy", "unknown"), Quorum(have=1, need=2), "unhealthy"),
        (("unhealthy", "unhealthy"), Quorum(have=2, need=2), "unhealthy"),
    ],
)
def test_a_cluster_is_as_well_as_what_still_works(
    healths: tuple[str, ...], quorum: Quorum, verdict: str
) -> None:
    nodes = [builders.node(f"n{at}", health=told) for at, told in enumerate(healths)]

    assert assess_cluster(nodes, quorum).health == verdict


def test_a_cluster_names_the_node_and_why() -> None:
    bad = builders.node("beta", health="unhealthy", reasons=("the store is gone",))
    found = assess_cluster([builders.node(), bad], Quorum(have=1, need=2))

    assert found.reasons == (
        "no quorum: 1 of 2 needed nodes can vote; writes are refused",
        "beta: the store is gone",
    )
