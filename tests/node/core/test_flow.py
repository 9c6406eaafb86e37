import random

from nexa_node.contract.tasks import RetryPolicy
from nexa_node.core.flow import Bucket, Credits, Outbound
from nexa_node.core.retries import backoff_s, has_another


def test_without_a_grant_there_is_no_limit() -> None:
    granted = Credits()

    assert granted.may(1000) == 1000
    assert granted.spend()


def test_granted_credits_are_used_up() -> None:
    granted = Credits()
    granted.grant(2)
    assert granted.may(5) == 2
    assert granted.spend()
    assert granted.spend()
    assert not granted.spend()
    granted.grant(1)

    assert granted.may(5) == 1


def test_outbound_is_bounded_in_frames_and_bytes() -> None:
    outbound = Outbound(frames_limit=2, bytes_limit=100)
    assert outbound.roomy
    assert outbound.add(10)
    assert not outbound.roomy
    assert outbound.add(10)
    assert not outbound.add(10)
    outbound.sent(10)
    assert not outbound.add(91)
    outbound.sent(10)

    assert outbound.roomy
    assert (outbound.frames, outbound.bytes) == (0, 0)


def test_three_quarters_and_what_is_owed_are_a_crowd() -> None:
    outbound = Outbound(frames_limit=8, bytes_limit=100)
    assert not outbound.crowded(100, 100)  # nothing waits: there is nothing to wait for
    for _ in range(2):
        outbound.add(10)
    assert not outbound.crowded(3, 0)
    assert outbound.crowded(4, 0)
    assert not outbound.crowded(3, 18)
    assert outbound.crowded(3, 19)
    outbound.add(55)

    assert outbound.crowded(0, 0)


def test_a_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    bucket = Bucket(rate=2.0, burst=3.0, level=3.0, filled=0.0)
    assert [bucket.spend(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.spend(0.5) == 0.0
    assert not bucket.full(1.0)

    assert bucket.full(10.0)


def test_the_back_off_doubles_up_to_its_limit() -> None:
    policy = RetryPolicy(backoff_ms=1000, max_backoff_ms=10_000)
    rng = random.Random(1)
    for attempt, longest in (
        (0, 1),
        (1, 1),
        (2, 2),
        (3, 4),
        (4, 8),
        (5, 10),
        (999, 10),
    ):
        for _ in range(20):
            assert longest / 2 <= backoff_s(policy, attempt, rng) <= longest


def test_attempts_are_counted() -> None:
    assert has_another(RetryPolicy(max_attempts=2), 1)
    assert not has_another(RetryPolicy(max_attempts=2), 2)
