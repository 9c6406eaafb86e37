"""What topics and inboxes keep: counted, looked into, and only by those who may."""

from collections.abc import Mapping

import pytest

from nexa_node.contract.access import Identity, Permission, Scope
from nexa_node.contract.errors import Forbidden, Invalid
from nexa_node.contract.ids import AgentId, Namespace
from nexa_node.contract.messages import Address, Message
from nexa_node.services.access.permissions import Permissions
from nexa_node.services.messages.mail_calls import MailCalls
from nexa_node.services.messages.shelves import Shelves
from tests.fakes import START, FakeClock, MemoryStore, RecordingJournal

TEAM = Namespace("team-a")


def message(number: int) -> Message:
    to = Address(topic="t")
    return Message(
        id=f"m{number}", sender="a", to=to, type="x", time=START, data=number
    )


async def calls(*, topics: Mapping[str, int], inboxes: Mapping[str, int]) -> MailCalls:
    store = MemoryStore()
    number = 0
    for topic, count in topics.items():
        for _ in range(count):
            number += 1
            await store.inboxes.publish(TEAM, topic, message(number), ttl_s=None)
    for agent, count in inboxes.items():
        for _ in range(count):
            number += 1
            await store.inboxes.append(
                TEAM, AgentId(agent), message(number), ttl_s=None
            )
    permissions = Permissions(journal=RecordingJournal(), clock=FakeClock())
    return MailCalls(permissions=permissions, shelves=Shelves(store.inboxes))


def reader(on: str = ">", *within: str) -> Identity:
    return Identity(
        id="token:t", name="t", role="reader", permissions=(Permission(allow="messages:read", on=on),),
        scope=Scope(namespaces=tuple(Namespace(one) for one in within)),
    )  # fmt: skip


async def test_the_fullest_come_first_and_each_kind_alone() -> None:
    mail = await calls(topics={"a": 1, "b.c": 3}, inboxes={"wc-1": 2})

    topics = await mail.list_topics(reader(), TEAM)
    inboxes = await mail.list_inboxes(reader(), TEAM)

    assert [(one.name, one.messages) for one in topics.items] == [("b.c", 3), ("a", 1)]
    assert [(one.name, one.messages) for one in inboxes.items] == [("wc-1", 2)]


async def test_only_what_may_be_read_is_listed() -> None:
    mail = await calls(topics={"open.x": 1, "secret.x": 1}, inboxes={"wc-1": 1})
    some = reader("team-a.topic.open.>")

    assert [one.name for one in (await mail.list_topics(some, TEAM)).items] == [
        "open.x"
    ]
    assert (await mail.list_inboxes(some, TEAM)).items == ()
    with pytest.raises(Forbidden):
        await mail.peek(some, TEAM, AgentId("wc-1"), after=0, limit=5)


async def test_an_inbox_is_looked_into_and_stays_as_it_is() -> None:
    mail = await calls(topics={}, inboxes={"wc-1": 5})

    first = await mail.peek(reader(), TEAM, AgentId("wc-1"), after=0, limit=3)
    rest = await mail.peek(
        reader(), TEAM, AgentId("wc-1"), after=int(first.next_cursor or 0), limit=3
    )

    assert [one.data for one in (*first.items, *rest.items)] == [1, 2, 3, 4, 5]
    assert first.items[0].topic == "inbox/wc-1"
    assert (await mail.list_inboxes(reader(), TEAM)).items[0].messages == 5
    end = await mail.peek(reader(), TEAM, AgentId("wc-1"), after=99, limit=3)
    assert (end.items, end.next_cursor) == ((), "99")


async def test_another_namespace_and_what_is_no_name_are_refused() -> None:
    mail = await calls(topics={"a": 1}, inboxes={})

    with pytest.raises(Forbidden):
        await mail.list_topics(reader(">", "team-b"), TEAM)
    with pytest.raises(Invalid, match="slug"):
        await mail.list_topics(reader(), Namespace("a.>"))
    with pytest.raises(Invalid, match="limit"):
        await mail.peek(reader(), TEAM, AgentId("x"), after=0, limit=0)
