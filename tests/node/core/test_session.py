from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from nexa_node.contract.errors import Invalid, NotFound
from nexa_node.contract.frames import (
    METHODS,
    PRE_AUTH_LIMIT,
    Empty,
    Limits,
    NodeRef,
    Report,
    Welcome,
)
from nexa_node.core.codec import JSON, MSGPACK, Codec
from nexa_node.core.policies import SessionPolicy
from nexa_node.core.session import (
    Called,
    Ended,
    Greeted,
    Notified,
    Replied,
    Session,
)
from tests.builders import NOW

HELLO = {"protocol": "1.0", "agent": {"id": "wc-1"}}
WELCOME = Welcome(
    protocol="1.0",
    session="s",
    resume_token="t",
    epoch="e",
    resumed=False,
    next_seq=1,
    node=NodeRef(id="n", name="alpha"),
    cluster=(),
    heartbeat_ms=25_000,
    lease_ms=30_000,
    limits=Limits(frame=1, inflight=1, outbound=1),
    server_time=NOW,
)


class Peer:
    """A session machine and the agent's end of it."""

    def __init__(
        self,
        *,
        codec: Codec = JSON,
        authenticated: bool = True,
        opened: bool = True,
        **policy: Any,
    ) -> None:
        self.session = Session(
            codec, SessionPolicy(**policy), now=0.0, authenticated=authenticated
        )
        self.codec = codec
        if opened:
            self.call("session.hello", HELLO, id=0)
            (greeted,) = self.session.take_events()
            assert isinstance(greeted, Greeted)
            self.session.welcome(greeted.call, WELCOME)
            self.session.take_output()

    def say(self, frame: Any) -> list[Any]:
        self.session.receive(self.codec.write(frame), 1.0)
        return self.heard()

    def call(self, method: str, params: Any = None, id: Any = 1) -> list[Any]:
        frame = {"jsonrpc": "2.0", "id": id, "method": method}
        return self.say(frame if params is None else {**frame, "params": params})

    def heard(self) -> list[Any]:
        return [self.codec.read(each, Any) for each in self.session.take_output()]

    def calls(self) -> list[Any]:
        events = self.session.take_events()
        return [each.call for each in events if isinstance(each, Called)]


def error_of(answers: list[Any]) -> tuple[Any, int, str]:
    (answer,) = answers
    return answer["id"], answer["error"]["code"], answer["error"]["message"]


def test_hello_is_answered_by_the_welcome() -> None:
    peer = Peer(opened=False)
    peer.call("session.hello", HELLO, id="first")
    (greeted,) = peer.session.take_events()
    assert isinstance(greeted, Greeted)
    assert greeted.hello.agent.id == "wc-1"
    peer.session.welcome(greeted.call, WELCOME)

    (answer,) = peer.heard()
    assert answer["id"] == "first"
    assert answer["result"]["session"] == "s"
    assert peer.session.is_open


def test_anything_before_hello_is_refused() -> None:
    peer = Peer(opened=False)

    assert error_of(peer.call("task.get", {"id": "x"}, id=7))[:2] == (7, 1001)
    assert peer.session.closing is None


def test_notifications_before_hello_are_ignored() -> None:
    peer = Peer(opened=False)

    assert peer.say({"jsonrpc": "2.0", "method": "agent.report", "params": {}}) == []
    assert peer.session.take_events() == []


def test_without_hello_the_connection_ends() -> None:
    peer = Peer(opened=False)
    peer.session.tick(4.9)
    assert peer.session.closing is None
    peer.session.tick(5.0)

    assert peer.session.closing is not None
    assert peer.session.closing.code == 4501


def test_an_open_session_has_no_hello_timeout() -> None:
    peer = Peer()
    peer.session.tick(1000.0)

    assert peer.session.closing is None
    assert not peer.session.needs_ticks


@pytest.mark.parametrize("protocol", ["2.0", "0.9", "", "one", "1", "10.0"])
def test_another_major_version_is_refused_and_ends(protocol: str) -> None:
    peer = Peer(opened=False)
    answers = peer.call("session.hello", {**HELLO, "protocol": protocol})

    assert error_of(answers)[1] == 1016
    assert peer.session.closing is not None
    assert peer.session.closing.code == 4503


@pytest.mark.parametrize("protocol", ["1.0", "1.3", "1.0.7"])
def test_any_minor_version_is_welcome(protocol: str) -> None:
    peer = Peer(opened=False)
    peer.call("session.hello", {**HELLO, "protocol": protocol})

    assert isinstance(peer.session.take_events()[0], Greeted)


def test_hello_twice_is_invalid() -> None:
    peer = Peer()

    assert error_of(peer.call("session.hello", HELLO))[1] == 1004


def test_a_refused_hello_may_be_said_again() -> None:
    peer = Peer(opened=False)
    peer.call("session.hello", HELLO)
    (greeted,) = peer.session.take_events()
    assert isinstance(greeted, Greeted)
    peer.session.refuse(greeted.call, Invalid("no"))
    peer.call("session.hello", HELLO)

    assert isinstance(peer.session.take_events()[0], Greeted)


def test_what_follows_hello_at_once_waits_for_the_welcome() -> None:
    peer = Peer(opened=False)
    peer.call("session.hello", HELLO)
    peer.call("task.get", {"id": "x"}, id=2)
    (greeted,) = peer.session.take_events()
    assert isinstance(greeted, Greeted)
    peer.session.welcome(greeted.call, WELCOME)

    assert [call.id for call in peer.calls()] == [2]


def test_what_follows_a_refused_hello_is_refused() -> None:
    peer = Peer(opened=False)
    peer.call("session.hello", HELLO)
    peer.call("task.get", {"id": "x"}, id=2)
    (greeted,) = peer.session.take_events()
    assert isinstance(greeted, Greeted)
    peer.session.refuse(greeted.call, NotFound("no"))

    assert [answer["error"]["code"] for answer in peer.heard()] == [1003, 1001]


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"protocol": "1.0"}, "agent"),
        ({**HELLO, "agent": {"id": 5}}, "$.agent.id"),
        ({**HELLO, "slots": "many"}, "$.slots"),
        ([], "object"),
        ({**HELLO, "capabilities": [{"name": 1}]}, "$.capabilities[0].name"),
    ],
)
def test_wrong_params_are_told_with_their_path(params: Any, path: str) -> None:
    answers = Peer(opened=False).call("session.hello", params, id="a")

    known, code, message = error_of(answers)
    assert (known, code) == ("a", -32602)
    assert path in message


def test_no_params_are_an_empty_object() -> None:
    peer = Peer()
    peer.call("session.bye")
    assert [call.method for call in peer.calls()] == ["session.bye"]

    assert error_of(peer.call("task.get"))[1] == -32602


def test_unknown_methods_are_told() -> None:
    known, code, message = error_of(Peer().call("no.such\n", {}, id=3))

    assert (known, code) == (3, -32601)
    assert "\n" not in message


def test_unknown_members_are_ignored() -> None:
    peer = Peer()
    frame = {"jsonrpc": "2.0", "id": 1, "method": "task.get", "trace": [1]}
    peer.say({**frame, "params": {"id": "x", "more": {}}})

    assert len(peer.calls()) == 1


@pytest.mark.parametrize(
    ("frame", "id"),
    [
        (5, None),
        ("text", None),
        (None, None),
        ({}, None),
        ({"id": 5}, 5),
        ({"jsonrpc": "1.0", "id": 5, "method": "task.get"}, 5),
        ({"jsonrpc": "2.0", "id": 5, "method": 7}, 5),
        ({"jsonrpc": "2.0", "id": "x", "method": ["a"]}, "x"),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "task.get"}, None),
        ({"jsonrpc": "2.0", "id": True, "method": "task.get"}, None),
        ({"jsonrpc": "2.0", "id": {}, "method": "task.get"}, None),
    ],
)
def test_what_is_no_call_is_an_invalid_request_with_its_id(frame: Any, id: Any) -> None:
    assert error_of(Peer().say(frame))[:2] == (id, -32600)


def test_malformed_frames_are_told_and_harm_nobody() -> None:
    peer = Peer()
    for data in (b"{", b"", b"[" * 100_000, b'{"a":1,"a":2}', b"\xff", b"nul"):
        peer.session.receive(data, 1.0)
        assert error_of(peer.heard())[:2] == (None, -32700)

    assert peer.session.is_open


def test_the_third_malformed_frame_before_hello_ends() -> None:
    peer = Peer(opened=False)
    for _ in range(2):
        peer.session.receive(b"{", 1.0)
    assert peer.session.closing is None
    peer.session.receive(b"{", 1.0)

    assert peer.session.closing is not None
    assert peer.session.closing.code == 4504
    assert len(peer.heard()) == 3


def test_a_null_id_is_answered_with_null() -> None:
    peer = Peer()
    peer.call("agent.report", {}, id=None)
    (call,) = peer.calls()
    peer.session.answer(call, Empty())

    assert peer.heard() == [{"id": None, "result": {}, "jsonrpc": "2.0"}]


def test_notifications_get_no_answer_even_when_wrong() -> None:
    peer = Peer()
    wrong = ("no.such", {}), ("agent.report", {"load": "x"}), ("session.hello", HELLO)
    for method, params in wrong:
        frame = {"jsonrpc": "2.0", "method": method, "params": params}
        assert peer.say(frame) == []
    assert peer.session.take_events() == []
    peer.say({"jsonrpc": "2.0", "method": "agent.report", "params": {"load": 0.5}})

    assert peer.session.take_events() == [Notified("agent.report", Report(load=0.5))]


def test_bad_ids_are_invalid() -> None:
    peer = Peer()
    bad: list[tuple[str, dict[str, Any]]] = [
        ("task.get", {"id": "a.b"}),
        ("task.cancel", {"id": "*"}),
        ("task.complete", {"id": "A", "claim_epoch": 1}),
        ("task.submit", {"type": "a b"}),
        ("task.submit", {"type": "wc", "id": "../x"}),
        ("task.submit", {"type": "wc", "namespace": ">"}),
        ("message.send", {"to": {"agent": "x\n"}, "type": "t"}),
        ("message.send", {"to": {"topic": "a..b"}, "type": "t"}),
        ("message.send", {"to": {}, "type": "t"}),
        ("message.send", {"to": {"agent": "a", "broadcast": True}, "type": "t"}),
        ("message.send", {"to": {"agent": "a"}, "type": "t", "id": "x\r\ny"}),
        ("agents.find", {"capability": ""}),
    ]
    for method, params in bad:
        assert error_of(peer.call(method, params))[1] == 1004, (method, params)
    assert peer.session.take_events() == []


@pytest.mark.parametrize(
    "agent", [{"id": "WC"}, {"id": ""}, {"id": "a" * 64}, {"id": "a.b"}, {"id": "é"}]
)
def test_bad_ids_in_hello_are_invalid(agent: Any) -> None:
    peer = Peer(opened=False)

    answers = peer.call("session.hello", {**HELLO, "agent": agent})
    assert error_of(answers)[1] == 1004


def test_a_batch_is_answered_all_together() -> None:
    peer = Peer()
    frames = [
        {"jsonrpc": "2.0", "id": 1, "method": "task.get", "params": {"id": "x"}},
        {"jsonrpc": "2.0", "method": "agent.report", "params": {}},
        {"jsonrpc": "2.0", "id": 2, "method": "no.such"},
        17,
        {"jsonrpc": "2.0", "id": 3, "method": "task.get", "params": {"id": "y"}},
    ]
    assert peer.say(frames) == []
    first, second = peer.calls()
    peer.session.answer(second, Empty())
    assert peer.heard() == []
    peer.session.refuse(first, NotFound("no"))

    (answers,) = peer.heard()
    assert {answer["id"] for answer in answers} == {1, 2, 3, None}


def test_a_batch_of_notifications_is_not_answered() -> None:
    peer = Peer()

    assert peer.say([{"jsonrpc": "2.0", "method": "agent.report"}] * 3) == []


@pytest.mark.parametrize("size", [0, 129])
def test_a_batch_of_a_wrong_size_is_one_invalid_request(size: int) -> None:
    frame = {"jsonrpc": "2.0", "method": "agent.report"}

    assert error_of(Peer().say([frame] * size))[:2] == (None, -32600)


def test_a_whole_batch_is_served_though_few_calls_may_be_in_flight() -> None:
    peer = Peer(inflight=4)
    peer.say([_get(n) for n in range(128)])
    served: list[Any] = []
    while calls := peer.calls():
        assert len(calls) <= 4
        for call in calls:
            served.append(call.id)
            peer.session.answer(call, Empty())

    assert served == list(range(128))
    (answers,) = peer.heard()
    assert len(answers) == 128


def test_more_calls_than_may_wait_are_refused() -> None:
    peer = Peer(inflight=2)
    for n in range(130):
        assert peer.say(_get(n)) == []

    (answer,) = peer.say(_get(130))
    assert answer["error"]["data"]["reason"] == "rate_limited"
    assert answer["error"]["data"]["retryable"] is True


def test_frames_are_small_before_authentication() -> None:
    peer = Peer(opened=False, authenticated=False)
    hello = {**HELLO, "features": ["x" * PRE_AUTH_LIMIT]}
    answers = peer.call("session.hello", hello)

    assert error_of(answers)[1] == 1005
    assert peer.session.closing is not None
    assert peer.session.closing.code == 4504


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    peer = Peer(frame_bytes=10_000)
    answers = peer.call("task.submit", {"type": "wc", "data": "x" * 10_000})

    assert error_of(answers)[1] == 1005
    assert peer.session.is_open


def test_data_over_the_limit_is_refused() -> None:
    peer = Peer(data_bytes=1000)
    for method, params in (
        ("task.submit", {"type": "wc", "data": "x" * 1000}),
        ("task.complete", {"id": "t", "claim_epoch": 1, "result": "x" * 1000}),
        ("message.send", {"to": {"agent": "a"}, "type": "t", "data": "x" * 1000}),
    ):
        assert error_of(peer.call(method, params))[1] == 1005
    peer.call("task.submit", {"type": "wc", "data": "x" * 998})

    assert len(peer.calls()) == 1


GROWING = {
    "control characters": (MSGPACK, "\x01" * 200),
    "bytes": (MSGPACK, b"x" * 800),
    "false": (MSGPACK, [False] * 200),
    "numbers": (JSON, msgspec.Raw(b"[" + b",".join([b"1e15"] * 100) + b"]")),
}


@pytest.mark.parametrize("kind", GROWING)
def test_a_payload_is_measured_as_it_will_be_kept(kind: str) -> None:
    codec, data = GROWING[kind]
    peer = Peer(codec=codec, data_bytes=1000)
    claim = {"id": "t", "claim_epoch": 1}
    for method, params in (
        ("task.submit", {"type": "wc", "data": data}),
        ("message.send", {"to": {"agent": "a"}, "type": "t", "data": data}),
        ("task.progress", {**claim, "partial": data}),
        ("task.complete", {**claim, "result": data}),
        ("task.fail", {**claim, "error": data}),
    ):
        frame = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        assert len(codec.write(frame)) < 1000
        assert error_of(peer.say(frame))[1] == 1005, method

    assert peer.calls() == []


def test_a_key_beside_an_id_is_invalid_and_says_what_to_do() -> None:
    both = {"type": "wc", "id": "t-1", "idempotency_key": "k"}
    (answer,) = Peer().call("task.submit", both)

    assert answer["error"]["code"] == 1004
    assert "idempotency_key" in answer["error"]["message"]
    assert answer["error"]["data"]["details"] == {"member": "idempotency_key"}
    assert "leave one" in answer["error"]["data"]["remedy"]


def test_half_a_surrogate_pair_is_called_that() -> None:
    params = b'{"to":{"agent":"a"},"type":"x","data":"\\ud83d"}'
    frame = b'{"jsonrpc":"2.0","id":1,"method":"message.send","params":%s}'
    peer = Peer()
    peer.session.receive(frame % params, 1.0)
    wrong = error_of(peer.heard())
    peer.session.receive(frame % params.replace(b"d83d", b"d83d\\ude00"), 1.0)

    assert wrong[:2] == (None, -32700)
    assert "surrogate pair" in wrong[2]
    assert [call.params.data for call in peer.calls()] == ["\U0001f600"]


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_the_answers_of_a_batch_fit_into_a_frame(codec: Codec) -> None:
    """Who finds no room beside the others is told so, and may ask again alone."""
    peer = Peer(codec=codec, frame_bytes=100_000)
    peer.say([_get(n) for n in range(20)])
    calls = peer.calls()
    for call in calls[:10]:
        peer.session.answer(call, {"result": "x" * 12_000})
    for call in calls[10:]:
        peer.session.answer(call, {"id": "t-1"})
    (frame,) = peer.session.take_output()
    answers = codec.read(frame, Any)

    assert len(frame) <= 100_000
    assert [each["id"] for each in answers] == list(range(20))
    refused = [each for each in answers if "error" in each]
    assert [each["id"] for each in refused] == [7, 8, 9]
    for each in refused:
        assert each["error"]["data"]["reason"] == "payload_too_large"
        assert "alone" in each["error"]["data"]["remedy"]


def test_ids_too_long_for_one_array_are_all_answered() -> None:
    peer = Peer(frame_bytes=5000)
    long = {"jsonrpc": "2.0", "id": "i" * 900, "method": "no"}
    arrays = peer.say([long] * 5)

    assert all(len(JSON.write(each)) <= 5000 for each in arrays)
    assert [len(each) for each in arrays] == [4, 1]


def test_nothing_is_begun_while_answers_crowd_the_way_out() -> None:
    peer = Peer(outbound_frames=8)
    for _ in range(6):
        peer.session.notify("task.cancelled", Empty())
    assert peer.session.is_crowded
    peer.session.receive(JSON.write(_get(1)), 1.0)
    assert peer.calls() == []
    while not (begun := peer.calls()):
        assert peer.session.next_frame() is not None

    assert [call.id for call in begun] == [1]


def test_room_is_kept_for_answers_as_large_as_the_last_ones() -> None:
    peer = Peer(outbound_bytes=100_000)
    for n in range(50):
        peer.session.receive(JSON.write(_get(n)), 1.0)
    calls, answered = peer.calls(), 0
    assert len(calls) == 50
    peer.session.answer(calls.pop(), {"result": "x" * 3_000})
    for n in range(50, 70):
        peer.session.receive(JSON.write(_get(n)), 1.0)
    assert peer.calls() == []
    while calls:
        peer.session.next_frame()
        peer.session.answer(calls.pop(), {"result": "x" * 3_000})
        calls += peer.calls()
        answered += 1

    assert answered == 69
    assert peer.session.closing is None


def test_an_answer_over_the_limit_becomes_an_error() -> None:
    peer = Peer(frame_bytes=5000)
    peer.call("task.get", {"id": "x"})
    (call,) = peer.calls()
    peer.session.answer(call, {"result": "x" * 5000})

    assert error_of(peer.heard())[1] == 1005


def test_an_answer_that_cannot_be_written_becomes_an_error() -> None:
    peer = Peer()
    peer.call("task.get", {"id": "x"})
    (call,) = peer.calls()
    peer.session.answer(call, object())

    assert error_of(peer.heard())[1] == -32603


def test_who_does_not_read_is_closed_as_slow() -> None:
    peer = Peer(outbound_frames=3)
    for _ in range(4):
        peer.session.notify("task.cancelled", Empty())

    assert peer.session.closing is not None
    assert peer.session.closing.code == 4408
    assert peer.session.take_output() == []


def test_bytes_are_bounded_too() -> None:
    peer = Peer(outbound_bytes=2000)
    assert peer.session.notify("task.cancelled", {"a": "x" * 900})
    assert not peer.session.is_roomy or peer.session.next_frame()
    assert peer.session.notify("task.cancelled", {"a": "x" * 900})

    assert not peer.session.notify("task.cancelled", {"a": "x" * 2000})


def test_room_comes_back_as_frames_are_taken() -> None:
    peer = Peer(outbound_frames=3)
    for _ in range(10):
        peer.session.notify("task.cancelled", Empty())
        assert peer.session.next_frame() is not None

    assert peer.session.next_frame() is None
    assert peer.session.closing is None


def ask(peer: Peer, about: str = "it", timeout_s: float = 5.0) -> int:
    peer.session.request(
        "task.assign", {"task": 1}, about=about, timeout_s=timeout_s, now=10.0
    )
    (asked,) = peer.heard()
    assert asked["method"] == "task.assign"
    number: int = asked["id"]
    return number


def test_the_agents_answer_comes_back_to_who_asked() -> None:
    peer = Peer()
    number = ask(peer)
    peer.say({"jsonrpc": "2.0", "id": number, "result": {"accepted": True}})

    (replied,) = peer.session.take_events()
    assert isinstance(replied, Replied)
    assert (replied.about, replied.result.accepted) == ("it", True)


@pytest.mark.parametrize(
    "error",
    [
        {"code": 1013, "message": "busy", "data": {"reason": "rejected"}},
        {"code": -32601, "message": "what?"},
        {"code": 1, "message": "m", "data": "text"},
        {"code": "x"},
        "text",
    ],
)
def test_any_error_is_an_answer(error: Any) -> None:
    peer = Peer()
    number = ask(peer)
    assert peer.say({"jsonrpc": "2.0", "id": number, "error": error}) == []

    (replied,) = peer.session.take_events()
    assert isinstance(replied, Replied)
    assert replied.result is None
    assert replied.error is not None
    if isinstance(error, dict) and isinstance(error["code"], int):
        assert replied.error.message == error["message"]


def test_a_wrong_result_is_an_error() -> None:
    peer = Peer()
    number = ask(peer)
    peer.say({"jsonrpc": "2.0", "id": number, "result": {"accepted": "yes"}})

    (replied,) = peer.session.take_events()
    assert isinstance(replied, Replied)
    assert replied.error is not None


def test_answers_to_nothing_are_ignored() -> None:
    peer = Peer()
    for known in (1, 99, "x", None):
        assert peer.say({"jsonrpc": "2.0", "id": known, "result": 1}) == []

    assert peer.session.take_events() == []


def test_no_answer_in_time_is_told_once() -> None:
    peer = Peer()
    number = ask(peer)
    assert peer.session.needs_ticks
    peer.session.tick(14.9)
    assert peer.session.take_events() == []
    peer.session.tick(15.0)
    (replied,) = peer.session.take_events()
    assert isinstance(replied, Replied)
    assert replied.error is not None
    assert replied.error.reason == "deadline_exceeded"
    peer.say({"jsonrpc": "2.0", "id": number, "result": {"accepted": True}})

    assert peer.session.take_events() == []


def test_the_end_answers_what_was_asked() -> None:
    peer = Peer()
    ask(peer, about="a")
    peer.session.close(4409, "taken_over")

    assert peer.session.take_events() == [
        Replied("a", None, None),
        Ended(4409, "taken_over"),
    ]


def test_after_the_end_nothing_is_said_or_heard() -> None:
    peer = Peer()
    peer.call("task.get", {"id": "x"})
    (call,) = peer.calls()
    peer.session.close(4413, "going_away")
    peer.session.close(4409, "again")
    peer.session.take_events()
    peer.session.answer(call, Empty())
    assert not peer.session.notify("x", Empty())
    assert not peer.session.request("x", 1, about=1, timeout_s=1, now=1)
    assert peer.call("task.get", {"id": "x"}) == []
    peer.session.tick(1e9)

    assert peer.session.take_events() == []
    assert peer.session.closing == Ended(4413, "going_away")


def test_msgpack_speaks_the_same_schema() -> None:
    peer = Peer(codec=MSGPACK)
    peer.call("task.submit", {"type": "wc", "data": {"raw": b"bytes"}})
    (call,) = peer.calls()

    assert call.params.data == {"raw": b"bytes"}


NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "agent", "to", "type", "data", "slots", "resume", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
FRAMES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0"]) | NOISE,
        "id": NOISE,
        "method": st.sampled_from(sorted(METHODS)) | NOISE,
        "params": NOISE,
        "result": NOISE,
        "error": NOISE,
    },
)


@settings(max_examples=300)
@given(frames=st.lists(FRAMES | NOISE | st.lists(FRAMES, max_size=3), max_size=5))
def test_no_frame_makes_it_raise(frames: list[Any]) -> None:
    peer = Peer()
    for frame in frames:
        peer.session.receive(msgspec.json.encode(frame), 1.0)
        for call in peer.calls():
            peer.session.answer(call, Empty())
        for answer in peer.heard():
            for each in answer if isinstance(answer, list) else [answer]:
                assert ("result" in each) != ("error" in each)


@given(data=st.binary(max_size=300))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    for codec in (JSON, MSGPACK):
        for opened in (True, False):
            peer = Peer(codec=codec, opened=opened)
            peer.session.receive(data, 1.0)
            peer.session.tick(2.0)


def _get(number: int) -> dict[str, Any]:
    params = {"id": "x"}
    return {"jsonrpc": "2.0", "id": number, "method": "task.get", "params": params}
