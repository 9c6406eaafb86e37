"""Controllers die, stores go away: no alert is lost, begins anew or fires twice."""

from nexa_node.contract.alerts import NewAck, NewNote
from tests.alert_rig import AlertTown

RULES = """
groups:
- name: queues
  interval: 10s
  rules:
  - alert: Backlog
    expr: depth > 5
    for: 40s
    keep_firing_for: 60s
    labels: {severity: warning}
- name: here
  interval: 10s
  rules:
  - alert: DiskFull
    expr: disk > 9
    for: 20s
    labels: {severity: critical}
    annotations: {nexa_local: "true"}
"""


def fired(town: AlertTown, name: str = "Backlog") -> int:
    return sum(
        line.change == "firing" and line.name == name
        for line in town.store.alert_log.lines
    )


async def test_one_that_pends_goes_on_where_the_dead_controller_left_it() -> None:
    town = AlertTown(RULES)
    async with town.node("beta") as beta:
        town.controller = "alpha"
        async with town.node("alpha") as alpha:
            await town.tick(3, depth=7)
            since = alpha.alert("Backlog").since
            assert beta.alert("Backlog").since == since
        town.controller = "beta"
        await town.tick(1, depth=7)
        assert beta.states() == {"Backlog": "pending"}

        await town.tick(1, depth=7)
        found = beta.alert("Backlog")
        assert (found.state, found.since) == ("firing", since)
        assert fired(town) == 1


async def test_one_that_fires_is_told_by_its_successor_and_fires_no_second_time() -> (
    None
):
    town = AlertTown(RULES)
    async with town.node("beta") as beta:
        town.controller = "alpha"
        async with town.node("alpha") as alpha:
            await town.tick(5, depth=7)
            key = alpha.alert("Backlog").fingerprint
            assert beta.told_board == []
        town.controller = "beta"
        await town.tick(2, depth=7)

        assert beta.alert("Backlog").times == 1
        assert [one.fingerprint for one in beta.told_board[-1]] == [key]
        assert fired(town) == 1
        assert "alert.fired" not in beta.journal.kinds()


async def test_one_that_recovers_keeps_its_time_over_a_change_of_controllers() -> None:
    town = AlertTown(RULES)
    async with town.node("beta") as beta:
        town.controller = "alpha"
        async with town.node("alpha"):
            await town.tick(5, depth=7)
            await town.tick(4, depth=1)
        town.controller = "beta"
        await town.tick(2, depth=1)
        assert beta.states() == {"Backlog": "recovering"}

        await town.tick(1, depth=1)
        assert beta.states() == {"Backlog": "resolved"}


async def test_acknowledgements_made_on_any_node_outlive_every_other_node() -> None:
    town = AlertTown(RULES)
    async with town.node("gamma") as gamma:
        async with town.node("beta") as beta:
            town.controller = "alpha"
            async with town.node("alpha") as alpha:
                await town.tick(5, depth=7)
                key = alpha.alert("Backlog").fingerprint
                await beta.people.ack(key, NewAck(note="on it"), by="ann")
                await beta.people.note(key, NewNote(text="an import"), by="ben")
                await town.rest()
                assert alpha.alert("Backlog").ack is not None
            town.controller = "beta"
            await town.tick(2, depth=7)
        town.controller = "gamma"
        await town.tick(2, depth=7)

        found = gamma.alert("Backlog")
        assert found.ack is not None
        assert (found.ack.by, found.ack.note) == ("ann", "on it")
        assert [note.text for note in found.notes] == ["an import"]
        assert found.times == 1


async def test_a_deposed_controller_that_does_not_know_it_yet_fires_nothing_twice() -> (
    None
):
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha, town.node("beta") as beta:
        await town.tick(4, depth=7)
        both = {"alpha", "beta"}
        for node in (alpha, beta):
            node.engine._role = type(node.engine._role)(
                node=node.name, is_controller=lambda: True, living=lambda: both
            )
        await town.tick(3, depth=7)

        assert fired(town) == 1
        told = alpha.journal.kinds() + beta.journal.kinds()
        assert told.count("alert.fired") == 1
        assert beta.alert("Backlog").times == 1


async def test_a_node_without_the_store_shows_and_tells_its_own_alerts() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha"), town.node("beta") as beta:
        beta.door.available = False
        await town.tick(4, disk=10)

        own = beta.alert("DiskFull")
        assert (own.state, own.labels["instance"]) == ("firing", "beta")
        assert [one.name for one in beta.told_own[-1]] == ["DiskFull"]
        assert "alert.fired" in beta.journal.kinds()

        noted = await beta.people.ack(own.fingerprint, NewAck(), by="ann")
        assert noted.ack is not None


async def test_what_a_cut_off_node_noted_is_everybodys_once_it_is_back() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha, town.node("beta") as beta:
        beta.door.available = False
        await town.tick(4, disk=10)
        key = beta.alert("DiskFull").fingerprint
        await beta.people.ack(key, NewAck(note="cleaning up"), by="ann")
        assert {one.labels["instance"] for one in alpha.alerts()} == {"alpha"}

        beta.door.available = True
        await town.pass_time(3)
        there = alpha.board.alert(key)
        assert there.state == "firing"
        assert there.ack is not None
        assert there.ack.note == "cleaning up"
        assert fired(town, "DiskFull") == 2  # alpha's disk is full, too


async def test_what_a_dead_node_said_of_itself_ends_with_it() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        async with town.node("beta") as beta:
            await town.tick(4, disk=10)
            key = beta.board.records()[0].alert.fingerprint
            keys = {
                record.alert.fingerprint
                for record in alpha.board.records()
                if record.node == "beta"
            }
        assert key
        await town.tick(1, disk=10)

        (gone,) = keys
        assert alpha.board.alert(gone).state == "resolved"
        assert alpha.board.alert(gone).unseen


async def test_a_controller_that_is_cut_off_says_nothing_more_of_the_cluster() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha, town.node("beta") as beta:
        await town.tick(5, depth=7)
        alpha.door.available = False
        town.controller = "beta"
        await town.tick(8, depth=1)
        assert beta.states() == {"Backlog": "resolved"}

        alpha.door.available = True
        await town.tick(2, depth=1)
        assert alpha.states() == {"Backlog": "resolved"}
        assert fired(town) == 1


async def test_without_a_store_samples_say_since_when_an_own_alert_is_on() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha"), town.node("beta") as beta:
        beta.door.available = False
        await town.tick(2, disk=10)
        (own,) = [one for one in beta.alerts() if one.labels["instance"] == "beta"]
        since = own.since
        kept = dict(beta.samples.recorded)
    starting = town.node("beta")
    town.nodes["beta"].door.available = False
    async with starting as again:
        again.samples.recorded = kept
        await town.tick(1, disk=10)

        found = again.alert("DiskFull")
        assert (found.state, found.since) == ("firing", since)


async def test_a_deposed_controller_ends_what_it_recorded() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha, town.node("beta"):
        await town.tick(2, depth=7)
        assert any(alpha.samples.recorded.values())
        town.controller = "beta"
        await town.tick(1, depth=7)
        assert not any(alpha.samples.recorded.values())


LONG = RULES.replace("for: 40s", "for: 20m")


async def test_after_an_outage_for_neither_begins_anew_nor_is_over_at_once() -> None:
    town = AlertTown(LONG)
    async with town.node("beta") as beta:
        town.controller = "alpha"
        async with town.node("alpha"):
            await town.tick(8, depth=7)
        town.controller = None
        await town.pass_time(1800)
        town.controller = "beta"
        await town.tick(1, depth=7)
        left = town.clock.now() - beta.alert("Backlog").since
        assert beta.states() == {"Backlog": "pending"}
        assert 0 < left.total_seconds() <= 80  # the minute and more that it was seen


async def test_what_pended_before_a_long_outage_is_forgotten() -> None:
    town = AlertTown(LONG)
    async with town.node("beta") as beta:
        town.controller = "alpha"
        async with town.node("alpha"):
            await town.tick(8, depth=7)
        town.controller = None
        await town.pass_time(2 * 3600)
        town.controller = "beta"
        await town.tick(1, depth=1)
        assert beta.states() == {}
        await town.tick(1, depth=7)
        assert beta.alert("Backlog").since == town.clock.now()
