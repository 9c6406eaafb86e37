import pytest

from nexa_node.contract.errors import Invalid
from nexa_node.core.addresses import Address, parse_address, parse_host
from nexa_node.core.admission import check_joiner, compatible
from tests.joining import join_request


@pytest.mark.parametrize(("text", "address"), [
    ("10.0.0.1:1", Address("10.0.0.1", 1)),
    ("Node-1.Example:65535", Address("node-1.example", 65535)),
    ("[2001:DB8::1]:6222", Address("2001:db8::1", 6222)),
])  # fmt: skip
def test_an_address_has_one_spelling(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", [
    "", ":", "a:", ":1", "a:01", "a:1 ", "a:65536", "a:-1", "[a]:1", "[::1:1", "a b:1",
    "1.2.3:4", "x.1:4", "-a:1", "a..b:1", "224.0.0.1:1", "*:1", "a:1\n", "é:1",
    "a" * 64 + ":1", "a." * 200 + "a:1",
])  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_address(text)


def test_a_wildcard_is_refused_with_the_setting_that_mends_it() -> None:
    with pytest.raises(Invalid) as caught:
        parse_host("0.0.0.0")

    assert "[cluster] host" in caught.value.remedy


@pytest.mark.parametrize(("theirs", "ours", "fits"), [
    ("0.1.0", "0.1.9", True),
    ("0.2.0", "0.1.0", True),
    ("0.1.0", "0.2.0-rc.1", True),
    ("0.3.0", "0.1.0", False),
    ("1.1.0", "0.1.0", False),
    ("", "0.1.0", False),
    ("0.1", "0.1.0", False),
    ("0.1.0\n", "0.1.0", False),
    ("٠.١.٠", "0.1.0", False),
])  # fmt: skip
def test_versions_of_one_cluster_are_at_most_one_minor_apart(
    theirs: str, ours: str, fits: bool
) -> None:
    assert compatible(theirs, ours) is fits


@pytest.mark.parametrize(("url", "hosts"), [
    ("", ("127.0.0.1",)),
    ("http://127.0.0.1:7442", ("127.0.0.1",)),
    ("https://node-2.example:7442/", ("127.0.0.1", "node-2.example")),
    ("http://[2001:db8::1]:7442", ("127.0.0.1", "2001:db8::1")),
])  # fmt: skip
def test_a_certificate_is_for_the_hosts_a_node_is_reached_by(
    url: str, hosts: tuple[str, ...]
) -> None:
    assert check_joiner(join_request(url=url), version="0.1.0").hosts == hosts


def test_a_url_of_no_single_host_is_refused() -> None:
    with pytest.raises(Invalid):
        check_joiner(join_request(url="http://0.0.0.0:7442"), version="0.1.0")
