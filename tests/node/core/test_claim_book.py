"""Claims are found by their agent and by their node, as the newest record says."""

from typing import Any

from nexa_node.contract.ids import DEFAULT_NAMESPACE, AgentId, Namespace
from nexa_node.core.claim_book import ClaimBook
from tests.builders import task

WC1 = AgentId("wc-1")


def claimed(id: str, **fields: Any) -> Any:
    told = {"status": "running", "agent": WC1, "node": "alpha", "claim_epoch": 1}
    return task(id, **{**told, **fields})


def test_a_claim_is_found_by_agent_and_node() -> None:
    book = ClaimBook()
    book.put(claimed("a"))
    book.put(claimed("b"))
    book.put(claimed("c", agent=AgentId("wc-2"), node="beta"))
    book.put(claimed("d", namespace=Namespace("other")))
    book.put(task("e"))

    assert book.of(DEFAULT_NAMESPACE, WC1) == ("a", "b")
    assert book.of(Namespace("other"), WC1) == ("d",)
    assert book.at("beta") == ("c",)
    assert book.nodes() == ("alpha", "beta")
    assert book.at("gamma") == ()


def test_a_claim_that_moves_is_found_where_it_is() -> None:
    book = ClaimBook()
    book.put(claimed("a"))
    book.put(claimed("a", pct=50.0))
    book.put(claimed("a", node="beta"))
    assert book.nodes() == ("beta",)
    assert book.of(DEFAULT_NAMESPACE, WC1) == ("a",)


def test_what_ends_or_is_forgotten_is_found_no_more() -> None:
    book = ClaimBook()
    book.put(claimed("a"))
    book.put(claimed("b"))
    book.put(task("a", status="pending"))
    book.remove("b")
    book.remove("b")
    assert book.nodes() == ()
    assert book.of(DEFAULT_NAMESPACE, WC1) == ()


def test_a_record_that_names_nobody_is_no_claim() -> None:
    book = ClaimBook()
    book.put(claimed("a", agent=None))
    book.put(claimed("b", node=None))
    assert book.nodes() == ()
