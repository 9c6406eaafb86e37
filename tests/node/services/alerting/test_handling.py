"""What people, silences and time do to alerts."""

import asyncio
from datetime import timedelta

import pytest

from nexa_node.contract.alerts import LabelMatcher, NewAck, NewNote, NewSilence
from nexa_node.contract.errors import Conflict, Invalid, NotFound
from nexa_node.core.alerting.notifying.notices import notice_of
from nexa_node.core.policies import InhibitPolicy
from nexa_node.services.alert_api import AlertFilter
from tests.alert_rig import AlertTown

RULES = """
groups:
- name: queues
  interval: 10s
  rules:
  - alert: Backlog
    expr: depth > 5
    labels: {severity: warning}
    annotations: {nexa_ack_timeout: 5m}
  - alert: Down
    expr: down > 0
    labels: {severity: critical}
- name: watchdog
  rules:
  - alert: Watchdog
    expr: vector(1)
    labels: {severity: none}
"""
DEPTH_ONLY = RULES.partition("- name: watchdog")[0]


def silence(name: str = "Backlog", **over: object) -> NewSilence:
    matchers = (LabelMatcher(name="alertname", kind="=", value=name),)
    fields = {"matchers": matchers, "comment": "import", "duration_s": 600, **over}
    return NewSilence(**fields)  # type: ignore[arg-type]  # a test's own fields


async def test_of_two_who_acknowledge_at_once_the_second_hears_who_was_first() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha, town.node("beta") as beta:
        await town.tick(depth=7)
        key = alpha.alert("Backlog").fingerprint
        ann, ben = await asyncio.gather(
            alpha.people.ack(key, NewAck(note="a"), by="ann"),
            beta.people.ack(key, NewAck(note="b"), by="ben"),
        )
        assert ann.ack is not None
        assert ann.ack == ben.ack
        await town.rest()
        assert alpha.alert("Backlog").ack == beta.alert("Backlog").ack == ann.ack
        changes = [line.change for line in town.store.alert_log.lines]
        assert changes.count("acknowledged") == 1


async def test_who_sees_it_acknowledged_and_asks_all_the_same_takes_it_over() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        key = alpha.alert("Backlog").fingerprint
        await alpha.people.ack(key, NewAck(), by="ann")

        taken = await alpha.people.ack(key, NewAck(note="night shift"), by="ben")

        assert taken.ack is not None
        assert taken.ack.by == "ben"


async def test_an_acknowledgement_with_an_end_is_over_then() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        key = alpha.alert("Backlog").fingerprint
        await alpha.people.ack(key, NewAck(duration_s=30), by="ann")
        await town.tick(2, depth=7)
        assert alpha.alert("Backlog").ack is not None

        await town.tick(2, depth=7)
        assert alpha.alert("Backlog").ack is None
        assert "alert.reopened" in alpha.journal.kinds()


@pytest.mark.parametrize(
    ("side", "values", "opens"),
    [
        ("above", (7, 8, 9, 9.5), [False, False, True, True]),
        ("above", (9.5, 7, 9.9), [False, False, False]),
        ("below", (9, 7, 6), [False, False, True]),
    ],
)
async def test_an_acknowledged_alert_that_gets_worse_is_open_and_told_again(
    side: str, values: tuple[float, ...], opens: list[bool]
) -> None:
    limit = "9" if side == "above" else "6.5"
    town = AlertTown(
        DEPTH_ONLY.replace("nexa_ack_timeout: 5m", f'nexa_reopen_{side}: "{limit}"')
    )
    async with town.node("alpha") as alpha:
        await town.tick(1, depth=values[0])
        key = alpha.alert("Backlog").fingerprint
        await alpha.people.ack(key, NewAck(note="on it"), by="ann")
        found: list[bool] = []
        for value in values:
            await town.tick(1, depth=value)
            found.append(alpha.alert("Backlog").ack is None)

        assert found == opens
        reopened = [
            one for one in town.store.alert_log.lines if one.change == "reopened"
        ]
        assert [one.text for one in reopened] == ["it got worse"] * any(opens)
        assert notice_of(alpha.alert("Backlog")).mark == key + "^1" * any(opens)


async def test_an_acknowledgement_can_be_taken_back_and_that_is_told() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        key = alpha.alert("Backlog").fingerprint
        await alpha.people.ack(key, NewAck(), by="ann")
        told = await alpha.people.unack(key, by="ann")
        assert told.ack is None
        assert "alert.unacknowledged" in alpha.journal.kinds()


@pytest.mark.parametrize("seconds", [0, -5, 31 * 86_400])
async def test_an_acknowledgement_lasts_a_sensible_time(seconds: int) -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        key = alpha.alert("Backlog").fingerprint
        with pytest.raises(Invalid):
            await alpha.people.ack(key, NewAck(duration_s=seconds), by="ann")


async def test_what_is_not_on_the_board_can_not_be_minded() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        with pytest.raises(NotFound):
            await alpha.people.ack("0" * 16, NewAck(), by="ann")
        with pytest.raises(NotFound):
            await alpha.desk.detail("0" * 16)


async def test_what_cleared_unseen_stays_until_it_is_dismissed() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        await town.tick(depth=1)
        town.clock.jump(3600)
        await town.pass_time(12)
        found = alpha.alert("Backlog")
        assert (found.state, found.unseen) == ("resolved", True)

        await alpha.people.dismiss(found.fingerprint, by="ann")
        await town.pass_time(12)
        assert alpha.alerts() == []
        assert town.store.alert_log.lines[-1].change == "dismissed"


async def test_what_is_on_can_not_be_dismissed() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        with pytest.raises(Conflict):
            await alpha.people.dismiss(alpha.alert("Backlog").fingerprint, by="ann")


async def test_an_unseen_one_that_pends_again_and_goes_is_still_unseen() -> None:
    rules = DEPTH_ONLY.replace("expr: depth > 5", "expr: depth > 5\n    for: 20s")
    town = AlertTown(rules)
    async with town.node("alpha") as alpha:
        await town.tick(3, depth=7)
        await town.tick(depth=1)
        await town.tick(depth=7)
        again = alpha.alert("Backlog")
        assert (again.state, again.unseen) == ("pending", True)

        await town.tick(depth=1)
        still = alpha.alert("Backlog")
        assert (still.state, still.unseen, still.fired is not None) == (
            "resolved",
            True,
            True,
        )


async def test_a_silence_holds_within_a_second_on_every_node_and_ends_by_itself() -> (
    None
):
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha, town.node("beta") as beta:
        await town.tick(depth=7)
        made = await beta.silences.create(silence(duration_s=60), by="ann")
        await town.pass_time(2)
        assert alpha.alert("Backlog").silenced_by == (made.id,)
        assert beta.alert("Backlog").silenced_by == (made.id,)

        await town.tick(6, depth=7)
        assert alpha.alert("Backlog").silenced_by == ()
        changes = [line.change for line in town.store.alert_log.lines]
        assert changes == ["firing", "silenced", "unsilenced"]


async def test_an_alert_that_is_silenced_from_the_start_is_never_unseen() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await alpha.silences.create(silence(), by="ann")
        await town.tick(depth=7)
        assert alpha.alert("Backlog").silenced_by
        await town.tick(depth=1)

        assert alpha.alert("Backlog").unseen is False
        town.clock.jump(320)
        await town.pass_time(12)
        assert alpha.alerts() == []


async def test_a_silence_that_is_expired_ends_at_once_and_is_kept_for_days() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        made = await alpha.silences.create(silence(), by="ann")
        await town.pass_time(2)
        ended = await alpha.silences.expire(made.id, by="ben")
        await town.pass_time(2)
        assert alpha.alert("Backlog").silenced_by == ()
        assert ended.ends == alpha.silences.get(made.id).ends
        assert (await alpha.silences.expire(made.id, by="ben")) == ended
        kinds = [kind for kind in alpha.journal.kinds() if kind.startswith("silence.")]
        assert kinds == ["silence.created", "silence.expired"]

        town.clock.jump(6 * 86_400)
        await alpha.silences.sweep()
        await town.rest()
        with pytest.raises(NotFound):
            alpha.silences.get(made.id)


async def test_a_preview_counts_what_is_on_and_what_fired_in_the_last_day() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        for _ in range(2):
            await town.tick(depth=7)
            await town.tick(depth=1)
        await town.tick(depth=7)
        told = await alpha.desk.preview(silence())
        assert (len(told.now), told.last_day, told.names) == (1, 3, ("Backlog",))

        other = await alpha.desk.preview(silence("Nothing"))
        assert (other.now, other.last_day, other.names) == ((), 0, ())


async def test_an_alert_that_another_one_explains_is_inhibited_while_that_is_on() -> (
    None
):
    explains = InhibitPolicy(
        source=('alertname="Down"',), target=('alertname="Backlog"',)
    )
    town = AlertTown(DEPTH_ONLY, inhibits=(explains,))
    async with town.node("alpha") as alpha:
        await town.tick(depth=7, down=1)
        source = alpha.alert("Down")
        assert alpha.alert("Backlog").inhibited_by == (source.fingerprint,)
        assert [one.name for one in alpha.alerts()] == ["Down", "Backlog"]

        await town.tick(depth=7, down=0)
        assert alpha.alert("Backlog").inhibited_by == ()


async def test_what_a_node_in_maintenance_says_is_nobodys_to_hear() -> None:
    town = AlertTown(
        DEPTH_ONLY.replace(
            "expr: depth", 'expr: label_replace(depth, "instance", "beta", "", "")'
        )
    )
    town.resting.add("beta")
    async with town.node("alpha") as alpha:
        await town.tick(2, depth=7)
        assert alpha.alert("Backlog").silenced_by == ("maintenance:beta",)
        await town.tick(100, depth=7)
        assert alpha.alert("Backlog").escalated is None

        town.resting.clear()
        await town.tick(2, depth=7)
        assert alpha.alert("Backlog").silenced_by == ()
        said = [line.text for line in town.store.alert_log.lines]
        assert "by maintenance:beta" in said


async def test_the_board_is_narrowed_by_conditions_on_labels() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(2, depth=7, down=1)
        for match, names in (
            ('{alertname=~"Back.*"}', ["Backlog"]),
            ("severity!=warning", ["Down"]),
            ("team=x", []),
            (None, ["Down", "Backlog"]),
        ):
            page = alpha.desk.page(AlertFilter(match=match))
            assert [one.name for one in page.items] == names
        for wrong in ("x", "a=~("):
            with pytest.raises(Invalid):
                alpha.desk.page(AlertFilter(match=wrong))


async def test_nobody_acknowledges_so_it_is_escalated_once() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(29, depth=7)
        assert alpha.alert("Backlog").escalated is None
        await town.tick(3, depth=7)
        mark = alpha.alert("Backlog").escalated
        assert mark is not None
        await town.tick(5, depth=7)
        assert alpha.alert("Backlog").escalated == mark
        changes = [line.change for line in town.store.alert_log.lines]
        assert changes == ["firing", "escalated"]


async def test_who_notifies_marks_what_was_escalated() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        now = town.clock.now()
        alpha.engine.escalated(alpha.alert("Backlog").fingerprint, now)
        await town.pass_time(2)
        assert alpha.alert("Backlog").escalated == now


async def test_one_that_goes_on_and_off_flaps_until_it_is_quiet() -> None:
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        for _ in range(3):
            await town.tick(depth=7)
            await town.tick(depth=1)
        found = alpha.alert("Backlog")
        assert (found.flapping, found.changes) == (True, 6)

        town.clock.jump(1801)
        await town.tick(depth=1)
        assert alpha.alert("Backlog").flapping is False
        told = ("alert.flapping", "alert.steady")
        kinds = [kind for kind in alpha.journal.kinds() if kind in told]
        assert kinds == ["alert.flapping", "alert.steady"]


async def test_the_watchdog_is_on_the_board_and_makes_no_noise() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        await town.tick(2, depth=1)
        assert alpha.alert("Watchdog").state == "firing"
        assert not [k for k in alpha.journal.kinds() if k.startswith("alert.")]


async def test_a_page_ends_where_the_next_one_begins() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        from nexa_node.services.alert_api import AlertFilter

        await town.tick(2, depth=7, down=1)
        first = alpha.desk.page(AlertFilter(limit=2))
        assert [one.name for one in first.items] == ["Down", "Backlog"]
        rest = alpha.desk.page(AlertFilter(limit=2, cursor=first.next_cursor))
        assert [one.name for one in rest.items] == ["Watchdog"]
        assert rest.next_cursor is None
        worst = alpha.desk.page(AlertFilter(severity="critical"))
        assert [one.name for one in worst.items] == ["Down"]


async def test_a_handover_tells_what_is_open_who_has_what_and_what_was_loud() -> None:
    town = AlertTown(RULES)
    async with town.node("alpha") as alpha:
        await town.tick(2, depth=7, down=1)
        key = alpha.alert("Backlog").fingerprint
        await alpha.people.ack(key, NewAck(note="<b>mine</b>"), by="ann")
        await alpha.people.note(key, NewNote(text="line\none"), by="ann")
        await alpha.silences.create(silence("Nothing"), by="ann")
        await town.tick(depth=7, down=0)
        told = await alpha.desk.handover(since_s=8 * 3600)

        assert [one.name for one in told.unseen] == ["Down"]
        assert [one.name for one in told.acknowledged] == ["Backlog"]
        assert dict(told.noisiest) == {"Backlog": 1, "Down": 1, "Watchdog": 1}
        assert len(told.silences) == 1
        assert "\\<b\\>mine" in told.text
        assert "line one" in told.text
        with pytest.raises(Invalid):
            await alpha.desk.handover(since_s=0)


async def test_history_pages_go_back_to_the_beginning() -> None:
    from nexa_node.services.alert_api import ChangeFilter

    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        for _ in range(3):
            await town.tick(depth=7)
            await town.tick(depth=1)
        seen: list[str] = []
        cursor = None
        while True:
            page = await alpha.desk.changes(
                ChangeFilter(name="Backlog", limit=2, cursor=cursor)
            )
            seen += [line.change for line in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen.count("firing") == 3
        assert seen[-1] == "firing"
        recent = town.clock.now() - timedelta(seconds=15)
        late = await alpha.desk.changes(ChangeFilter(since=recent.timestamp()))
        assert 0 < len(late.items) < len(seen)


async def test_what_was_escalated_the_last_time_is_escalated_anew_the_next_time() -> (
    None
):
    town = AlertTown(DEPTH_ONLY)
    async with town.node("alpha") as alpha:
        await town.tick(depth=7)
        town.clock.jump(301)
        await town.tick(depth=7)
        assert alpha.alert("Backlog").escalated is not None
        await town.tick(depth=1)
        await town.tick(depth=7)
        assert alpha.alert("Backlog").escalated is None
        town.clock.jump(301)
        await town.tick(depth=7)
        assert alpha.alert("Backlog").escalated is not None
