from nexa_node.core.failures import KEYS_MAX, PER_ADDRESS, PER_TOKEN, FailureLimit


def test_a_few_failures_are_nobodys_business() -> None:
    limit = FailureLimit()

    assert [limit.failed("10.0.0.1", "", now=5.0) for _ in range(PER_ADDRESS)] == [
        None
    ] * PER_ADDRESS


def test_too_many_from_one_address_must_wait_until_the_oldest_is_a_minute_old() -> None:
    limit = FailureLimit()
    for second in range(PER_ADDRESS):
        limit.failed("10.0.0.1", "", now=float(second))

    assert limit.failed("10.0.0.1", "", now=20.0) == 40.0
    assert limit.failed("10.0.0.2", "", now=20.0) is None


def test_one_token_is_limited_sooner() -> None:
    limit = FailureLimit()
    for _ in range(PER_TOKEN):
        assert limit.failed("10.0.0.1", "old", now=1.0) is None

    assert limit.failed("10.0.0.1", "old", now=1.0) == 60.0
    assert limit.failed("10.0.0.1", "other", now=1.0) is None


def test_a_minute_of_quiet_forgives() -> None:
    limit = FailureLimit()
    for _ in range(50):
        limit.failed("10.0.0.1", "old", now=1.0)

    assert limit.failed("10.0.0.1", "old", now=62.0) is None


def test_a_flood_of_addresses_takes_no_more_memory() -> None:
    limit = FailureLimit()
    for number in range(KEYS_MAX + 500):
        limit.failed(f"address {number}", "", now=1.0)

    assert len(limit._seen) == KEYS_MAX
