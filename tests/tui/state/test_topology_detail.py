"""A node's page: what it is to the others, and what its end would do."""

from nexa_node.contract.nodes import Cluster, Route
from nexa_tui.state.detail import Field, Heading, Line, Words
from nexa_tui.state.listing import Look
from nexa_tui.state.topology import topology
from nexa_tui.state.topology_detail import node_page
from tests.builders import NOW, agent
from tests.tui import clusters

LOOK = Look(now=NOW)


def page(cluster: Cluster, name: str, *agents: object) -> list[str]:
    view = topology(cluster)
    part = view.part(name)
    assert part is not None
    return [text(line) for line in node_page(view, part, agents, LOOK)]  # pyright: ignore[reportArgumentType]


def text(line: Line) -> str:
    match line:
        case Heading(title):
            return f"# {title}"
        case Field(label, said, _):
            return f"{label}: {said}"
        case Words(said, _):
            return said


def test_one_that_others_doubt() -> None:
    told = page(clusters.SEVEN, "zeta")

    assert "seen as: disputed, 4 of 6 that can be asked hear it" in told
    assert "! beta: suspect, no word for 2.10 s (its beats do not come)" in told
    assert "✗ delta: dead, no word for 3.40 s (its beats do not come)" in told
    assert "✓ alpha, gamma, epsilon and eta hear it" in told
    assert "it hears all of them" in told


def test_one_that_doubts() -> None:
    told = page(clusters.SEVEN, "delta")

    assert "✗ zeta is dead, no word for 3.40 s (its beats do not come)" in told
    assert "it hears 5 of them" in told


def test_one_that_lags_and_one_whose_way_is_slow() -> None:
    assert "behind: ! NX_TASKQ: 1.20k operations behind" in page(
        clusters.SEVEN, "gamma"
    )
    assert "beta: 51 ms, 0.7 ms is usual" in page(clusters.SEVEN, "eta")


def test_ways_that_are_missing_or_backed_up() -> None:
    routes = (
        Route(node="alpha", peer="beta", rtt_ms=0.5, pending_bytes=5_000_000),
        Route(node="beta", peer="gamma", rtt_ms=0.4),
    )
    told = page(clusters.cluster_of(3, routes=routes), "alpha")

    assert "gamma: no route" in told
    assert "beta: 0.5 ms, 0.5 ms is usual, 4.77 MiB wait" in told


def test_its_agents_the_busiest_first_and_not_a_thousand() -> None:
    agents = [agent(f"a{n:02d}", node="beta", inflight=n % 2) for n in range(30)]
    told = page(clusters.THREE, "beta", *agents)

    assert told[told.index("# agents there") + 1].startswith("a01:")
    assert "and 10 more: nexa agents list" in told
    assert "controller: yes: the cluster's duties are its own" in told


def test_one_that_is_down_says_how_to_get_it_back() -> None:
    told = page(clusters.LOST, "gamma")

    assert "# it is down" in told
    assert "  nexa cluster remove gamma" in told
    assert "# what it thinks of the others" not in told


def test_the_only_node_has_nobody_to_be_seen_by() -> None:
    told = page(clusters.ONE, "alpha")

    assert not any(line.startswith("seen as") for line in told)
    assert "# its machine" in told


def test_in_a_crowd_the_doubts_are_listed_and_the_rest_counted() -> None:
    told = page(clusters.FIFTY, "r2-08")

    assert any("and 38 more hear it" in line for line in told)
    assert sum("suspect" in line for line in told) == 4
