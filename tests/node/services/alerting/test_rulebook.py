"""Rules that come, change and break while a node runs."""

from tests.alert_rig import AlertTown

ONE = """
groups:
- name: queues
  interval: 10s
  rules:
  - alert: Backlog
    expr: depth > 5
    labels: {severity: warning}
"""
BROKEN = ONE.replace("depth > 5", "depth >")
FAILS = """
groups:
- name: odd
  interval: 10s
  rules:
  - alert: Twice
    expr: many + on () many
  - alert: Fine
    expr: left > 0
"""


async def test_a_new_file_is_in_force_within_seconds() -> None:
    town = AlertTown()
    async with town.node("alpha") as alpha:
        town.files.write("mine.yaml", ONE)
        await town.pass_time(3)
        await town.tick(depth=7)
        assert alpha.states() == {"Backlog": "firing"}
        assert alpha.rulebook.loaded().files == ("builtin", "mine.yaml")


async def test_a_broken_file_changes_nothing_and_is_an_alert_until_it_is_mended() -> (
    None
):
    town = AlertTown()
    town.files.write("mine.yaml", ONE)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        town.files.write("mine.yaml", BROKEN)
        await town.pass_time(3)
        await town.tick(depth=7)
        assert alpha.states() == {"Backlog": "firing", "NexaRuleFailing": "firing"}
        failing = alpha.alert("NexaRuleFailing")
        assert failing.labels["file"] == "mine.yaml"
        assert "mine.yaml:7" in failing.annotations["description"]
        (warning,) = alpha.rulebook.loaded().warnings
        assert "is not in force as it stands" in warning
        assert alpha.journal.kinds().count("rules.refused") == 1

        town.files.write("mine.yaml", ONE)
        await town.pass_time(3)
        await town.tick(8, depth=7)
        assert alpha.states()["NexaRuleFailing"] == "resolved"
        assert alpha.alert("Backlog").times == 1


async def test_an_alert_goes_on_when_its_rule_is_written_anew() -> None:
    town = AlertTown()
    town.files.write("mine.yaml", ONE.replace("warning}", "warning}\n    for: 30s"))
    async with town.node("alpha") as alpha:
        await town.tick(2, depth=7)
        since = alpha.alert("Backlog").since
        town.files.write(
            "mine.yaml",
            ONE.replace("depth > 5", "depth > 4").replace(
                "warning}", "warning}\n    for: 30s"
            ),
        )
        await town.pass_time(3)
        await town.tick(2, depth=7)
        found = alpha.alert("Backlog")
        assert (found.state, found.since) == ("firing", since)


async def test_an_alert_ends_when_its_rule_is_taken_away() -> None:
    town = AlertTown()
    town.files.write("mine.yaml", ONE)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        town.files.remove("mine.yaml")
        await town.pass_time(3)
        await town.tick(depth=7)
        assert alpha.states() == {"Backlog": "resolved"}


async def test_a_rule_that_fails_is_an_alert_and_the_others_of_its_group_go_on() -> (
    None
):
    town = AlertTown(FAILS)
    async with town.node("alpha") as alpha:
        await town.tick()
        for which in ("a", "b"):
            town.series(f'many{{i="{which}"}}', 1)
        await town.tick(left=1)
        assert alpha.states() == {"Fine": "firing", "NexaRuleFailing": "firing"}
        failing = alpha.alert("NexaRuleFailing")
        assert failing.labels["rule"] == "odd/Twice"
        assert failing.labels["instance"] == "alpha"
        assert alpha.engine.figures.failures == {"odd": 1}
        rules = {rule.name: rule for rule in await alpha.desk.rules.all()}
        assert (rules["Twice"].health, rules["Fine"].health) == ("err", "ok")
        assert "many-to-many" in rules["Twice"].error
        assert rules["Fine"].alerts == 1


async def test_a_selector_of_your_own_that_matches_nothing_is_a_warning() -> None:
    town = AlertTown(ONE.replace("queues", "theirs"))
    town.files.write("mine.yaml", ONE)
    async with town.node("alpha") as alpha:
        await town.tick()
        told = await alpha.desk.rules.reload()
        assert told.warnings == (
            "queues/Backlog: its selectors match nothing that is measured",
        )


async def test_any_node_tells_how_the_controllers_evaluations_went() -> None:
    town = AlertTown(ONE)
    async with town.node("alpha"), town.node("beta") as beta:
        await town.tick(depth=7)
        (rule,) = await beta.desk.rules.all()
        assert (rule.health, rule.alerts, rule.evaluated) == (
            "ok",
            1,
            town.clock.now(),
        )


async def test_a_reload_reads_the_files_of_every_node_and_tells_of_differences() -> (
    None
):
    town = AlertTown(ONE)
    async with town.node("alpha") as alpha, town.node("beta") as beta:
        beta.rulebook._builtin = lambda: "groups: []"
        town.handlers.pop(("beta", "nothing"), None)
        told = await alpha.desk.rules.reload()
        assert "beta has other rules: 0 in 1 files" in told.warnings
        town.handlers.clear()
        told = await alpha.desk.rules.reload()
        assert "beta did not read its rules: it does not answer" in told.warnings


async def test_rules_that_can_not_be_read_at_all_are_told_and_kill_nothing() -> None:
    def gone() -> str:
        raise FileNotFoundError("builtin.yaml")

    town = AlertTown(ONE)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        alpha.rulebook._builtin = gone
        told = await alpha.rulebook.reload()
        assert told.rules == 1
        assert "builtin.yaml" in told.warnings[0]


async def test_a_group_is_evaluated_at_its_own_interval() -> None:
    town = AlertTown(ONE.replace("interval: 10s", "interval: 30s"))
    async with town.node("alpha") as alpha:
        await town.tick(depth=1)
        await town.tick(2, depth=7)
        assert alpha.alerts() == []
        await town.tick(depth=7)
        assert alpha.states() == {"Backlog": "firing"}
        assert alpha.engine.figures.evaluations == {"queues": 2}
