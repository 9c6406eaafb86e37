from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, strategies as st

from nexa_node.contract.errors import Invalid, NexaError, RateLimited, Unauthorized
from nexa_node.core.join_tokens import (
    ADDRESSES_MAX,
    AGAIN_S,
    ENTROPY,
    TEXT_MAX,
    Admitted,
    BadToken,
    Guesses,
    JoinRecord,
    TokenParts,
    hash_secret,
    knows,
    make,
    over,
    parse,
    refused,
    view,
    why_refused,
)
from tests.joining import join_request

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CA = bytes(range(32))


def token(*addresses: str, entropy: bytes = b"\x05" * ENTROPY) -> TokenParts:
    return make(entropy, ca_sha256=CA, addresses=addresses or ("10.0.0.1:7443",))


def record(secret: str = "s", **given: object) -> JoinRecord:
    fields = {
        "id": "0123456789abcdef",
        "sha256": hash_secret(secret),
        "node": "alpha",
        "by": "token:admin",
        "addresses": ("10.0.0.1:7443",),
        "created": NOW,
        "expires": NOW + timedelta(minutes=30),
    }
    return JoinRecord(**{**fields, **given})


hosts = st.one_of(
    st.ip_addresses(v=4).filter(lambda ip: not (ip.is_multicast or ip.is_unspecified)),
    st.ip_addresses(v=6)
    .filter(lambda ip: not (ip.is_multicast or ip.is_unspecified))
    .map(lambda ip: f"[{ip}]"),
    st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,8})?", fullmatch=True),
)
addresses = st.builds(lambda host, port: f"{host}:{port}", hosts, st.integers(1, 65535))


@given(
    st.binary(min_size=ENTROPY, max_size=ENTROPY),
    st.binary(min_size=32, max_size=32),
    st.lists(addresses, min_size=1, max_size=ADDRESSES_MAX),
)
def test_what_is_made_is_read_back(
    entropy: bytes, ca_sha256: bytes, told: list[str]
) -> None:
    made = make(entropy, ca_sha256=ca_sha256, addresses=tuple(told))

    assert parse(made.text()) == made
    assert parse(f" {made.text()}\n") == made


@given(st.text())
@example("nxj1...")
@example("nxj1." + "A" * TEXT_MAX)
@example("nxj1.\udcff.a.b")
def test_any_other_text_is_refused_and_never_worse(text: str) -> None:
    with pytest.raises(BadToken) as caught:
        parse(text)

    assert "nexa cluster join-token" in caught.value.remedy


@given(st.data())
def test_a_token_that_was_changed_is_another_one_or_none(data: st.DataObject) -> None:
    text = token("10.0.0.1:7443", "node.example:1").text()
    place = data.draw(st.integers(0, len(text) - 1))
    sign = data.draw(st.sampled_from("AZaz09-_.,é "))
    changed = text[:place] + sign + text[place + 1 :]
    try:
        found = parse(changed)
    except BadToken:
        return

    assert found.text() == changed.strip()


@pytest.mark.parametrize("cut", [1, 20, 60, 90, 110])
def test_a_token_that_was_cut_off_is_told_so_without_quoting_it(cut: int) -> None:
    text = token().text()
    with pytest.raises(BadToken) as caught:
        parse(text[:-cut])

    assert text[-20:] not in f"{caught.value.message}{caught.value.remedy}"


@pytest.mark.parametrize("addresses", [
    ("0.0.0.0:7443",), ("[::]:7443",), ("host",), ("host:0",), ("host:70000",),
    ("a b:1",), ("10.0.0.256:1",), ("::1:7443",), ("fe80::1%eth0:1",), (),
    tuple(f"10.0.0.{each}:1" for each in range(9)),
])  # fmt: skip
def test_a_token_names_addresses_that_can_be_reached(
    addresses: tuple[str, ...],
) -> None:
    with pytest.raises(Invalid):
        make(bytes(ENTROPY), ca_sha256=CA, addresses=addresses)


def test_a_token_is_made_of_enough_chance_and_a_hash() -> None:
    with pytest.raises(ValueError, match="40 random bytes"):
        make(bytes(ENTROPY - 1), ca_sha256=CA, addresses=("a:1",))
    with pytest.raises(ValueError, match="SHA-256"):
        make(bytes(ENTROPY), ca_sha256=b"", addresses=("a:1",))


def test_no_secret_is_in_what_is_printed_of_a_token_a_request_or_an_answer() -> None:
    made = token()
    asked = join_request(secret="canary-1")
    admitted = Admitted(
        cluster="nexa", cluster_id="c1", name="beta", by="alpha", routes=(),
        route_password="canary-2", certificate="", node_ca="",
        node_ca_key="canary-3", client_ca="", client_ca_key="canary-4",
    )  # fmt: skip

    printed = f"{made!r} {made} {asked!r} {asked} {admitted!r} {admitted}"
    assert "canary" not in printed
    assert made.secret not in printed


def test_only_the_hash_of_a_secret_is_kept() -> None:
    kept = record("the-secret")

    assert "the-secret" not in repr(kept)
    assert knows(kept, "the-secret")
    assert not knows(kept, "the-secret ")
    assert not knows(None, "the-secret")
    assert not hasattr(view(kept), "sha256")


def test_a_token_is_good_until_it_expires() -> None:
    kept = record()

    assert (
        over(kept, name="beta", key="k", now=kept.expires - timedelta(seconds=1))
        is None
    )
    assert over(kept, name="beta", key="k", now=kept.expires) == "expired"
    assert not kept.is_open(kept.expires)


def test_a_used_token_is_good_for_its_node_alone_and_for_a_moment() -> None:
    kept = record(used=NOW, used_by="beta", used_key="k")
    soon, late = NOW + timedelta(seconds=5), NOW + timedelta(seconds=AGAIN_S)

    assert over(kept, name="beta", key="k", now=soon) is None
    assert over(kept, name="beta", key="other", now=soon) == "used"
    assert over(kept, name="gamma", key="k", now=soon) == "used"
    assert over(kept, name="beta", key="k", now=late) == "used"
    assert (kept.is_open(soon), kept.is_open(late)) == (True, False)


def test_five_wrong_secrets_a_minute_and_then_nothing_is_looked_at() -> None:
    guesses, known = Guesses(), "0123456789abcdef"
    for second in range(5):
        assert guesses.wait_s("a", known, now=second) == 0
        guesses.failed("a", known, now=second)

    assert guesses.wait_s("a", known, now=10) == 50
    assert guesses.wait_s("b", known, now=10) == 0
    assert guesses.wait_s("a", "f" * 16, now=10) == 0
    assert guesses.wait_s("a", known, now=60) == 0


def test_made_up_token_ids_share_one_count_and_memory_is_bounded() -> None:
    guesses = Guesses()
    for number in range(5):
        guesses.failed("a", f"made up {number}", now=0)

    assert guesses.wait_s("a", "another", now=1) > 0
    for number in range(Guesses.KEYS_MAX + 10):
        guesses.failed(f"10.{number}", "x", now=1)
    assert guesses.wait_s("a", "another", now=1) == 0


def test_a_refusal_has_one_word() -> None:
    assert why_refused(refused(Unauthorized, "no", "used")) == "used"
    assert why_refused(RateLimited("no")) == "rate_limited"
    assert why_refused(NexaError("no", details={"refusal": 5})) == "internal"
