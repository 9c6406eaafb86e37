from nexa_node.contract.nodes import Quorum
from nexa_tui.state.effects import cancel_task, disconnect_agent, drain_node
from nexa_tui.state.store import ClusterState, apply
from tests.builders import agent, cluster, node, snapshot, summary


def state(**overrides: object) -> ClusterState:
    return apply(ClusterState(), snapshot(**overrides), at=0.0)


def test_cancelling_a_running_task_names_agent_and_what_is_lost() -> None:
    effect = cancel_task(state(), summary(status="running"), 0.0)

    assert "01jn8qk000000000000000000a" in effect.target
    assert "wc-1 has worked on it for 1m00s" in effect.lines[0]
    assert effect.type_name is None


def test_cancelling_a_waiting_task_loses_nothing() -> None:
    assert "nothing has been done" in cancel_task(state(), summary(), 0.0).lines[0]


def test_what_is_over_cannot_be_cancelled_or_disconnected_or_drained() -> None:
    assert cancel_task(state(), summary(status="failed"), 0.0).refused
    assert disconnect_agent(agent(connected=False)).refused
    assert drain_node(state(), node(state="stopping")).refused


def test_disconnecting_says_what_goes_back_to_the_queue() -> None:
    assert "1 task in its hands" in disconnect_agent(agent(inflight=1)).lines[0]
    assert "no task" in disconnect_agent(agent()).lines[0]


def test_draining_counts_agents_and_tasks_of_that_node_alone() -> None:
    agents = (agent("a", inflight=2), agent("b", node="beta", inflight=5))
    effect = drain_node(state(agents=agents), node())

    assert effect.lines[0].startswith("1 agent is asked to move; 2 tasks")
    assert "only node" in effect.lines[-1]


def test_breaking_the_quorum_wants_the_name_typed() -> None:
    two = cluster(nodes=(node(), node("beta", id="n2")), quorum=Quorum(have=2, need=2))
    three = cluster(
        nodes=(node(), node("beta", id="n2"), node("gamma", id="n3")),
        quorum=Quorum(have=3, need=2),
    )
    breaking = drain_node(state(cluster=two), node())
    holding = drain_node(state(cluster=three), node())

    assert breaking.type_name == "alpha"
    assert "QUORUM BREAKS: 1 of 2" in breaking.lines[-1]
    assert holding.type_name is None
    assert "Quorum holds: 2 nodes left, 2 needed" in holding.lines[-1]
