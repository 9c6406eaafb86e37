"""Every limit of docs/protocol.md on a real node: at it, and one above.

At the limit a call is taken and kept whole. One above it is refused by name, nothing is
stored, and the session lives where the page says so. `page` holds each figure against
the page, so that neither changes without the other.
"""

import asyncio
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from nexa_node.contract import errors
from nexa_node.core.session import MISTAKES_LIMIT
from tests.system.conftest import Shell, until
from tests.system.test_every_refusal import (
    JSON,
    PACKED,
    PAGE,
    Outside,
    Peer,
    connections,
    malformed,
    refused,
    running,
)

BOTH = pytest.mark.parametrize("subprotocol", [JSON, PACKED], ids=["json", "msgpack"])
FRAME, DATA, BEFORE_HELLO = 1024 * 1024 - 8192, 256 * 1024, 4096
SLUG = "a" * 63


def page(*words: str) -> None:
    """Check that the page says so."""
    said = " ".join(PAGE.read_text().split())
    for each in words:
        assert each in said, each


def texts(size: int) -> str:
    """A string that takes so many bytes as JSON."""
    return "x" * (size - 2)


def deep(levels: int) -> Any:
    """Lists in lists."""
    made: Any = []
    for _ in range(levels - 1):
        made = [made]
    return made


def batch(method: str, many: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        for number, params in enumerate(many)
    ]


async def in_batches(
    peer: Peer, method: str, many: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Make many calls, a whole batch at a time; the answers, in order."""
    answers: list[dict[str, Any]] = []
    for start in range(0, len(many), 128):
        await peer.say(batch(method, many[start : start + 128]))
        told = await peer.hear(lambda one: isinstance(one, list))
        answers += sorted(told, key=lambda one: one["id"])
    return answers


@pytest.fixture(scope="module")
def access(shared: Shell) -> Outside:
    return Outside.of(shared)


@pytest.fixture(params=[JSON, PACKED], ids=["json", "msgpack"])
def outside(request: pytest.FixtureRequest, access: Outside) -> Outside:
    return access.spoken(request.param)


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A node whose settings leave little room."""
    with running(
        tmp_path_factory.mktemp("tight") / "home",
        "sessions.hello_timeout_ms=300",
        "sessions.messages_burst=300",
        "sessions.messages_per_s=0.01",
        "sessions.outbound_frames=200",
        "sessions.outbound_bytes=2000000",
        "retention.inbox_max=3",
        "retention.objects_max_bytes=1000",
    ) as shell:
        yield Outside.of(shell)


# -- frames ----------------------------------------------------------------------


def frame_of(peer: Peer, size: int, method: str, **params: Any) -> str | bytes:
    """A call that takes so many bytes: members that nobody knows are ignored."""
    call = {"jsonrpc": "2.0", "id": "f", "method": method, "params": params}
    frame, padding = peer.encoded(call), 0
    while len(frame) != size:
        padding += size - len(frame)
        frame = peer.encoded({**call, "pad": "x" * padding})
    return frame


async def test_a_frame_of_the_limit_is_taken_and_one_above_ends_the_connection(
    outside: Outside,
) -> None:
    page("A frame holds 1 MiB less 8 KiB")
    async with outside.agent("near") as near, outside.opened() as peer:
        welcome = (await peer.hello("far", namespace=outside.namespace))["result"]
        frame = frame_of(peer, FRAME, "task.submit", type="wc")
        assert len(frame) == welcome["limits"]["frame"] == FRAME
        await peer.socket.send(frame)
        taken = await peer.hear(lambda one: one.get("id") == "f")
        await peer.socket.send(frame_of(peer, FRAME + 1, "task.submit", type="wc"))
        code, reason = await peer.closed()
        await near.alive()
        async with outside.opened() as again:
            resume = {
                "session": welcome["session"],
                "token": welcome["resume_token"],
                "epoch": welcome["epoch"],
            }
            back = await again.hello("far", namespace=outside.namespace, resume=resume)

    assert (code, "1040384" in reason) == (1009, True), reason
    assert back["result"]["resumed"] is True
    assert [one["id"] for one in (await outside.kept())["tasks"]] == [
        taken["result"]["id"]
    ]


@BOTH
async def test_before_hello_a_frame_has_4_kib(
    subprotocol: str, access: Outside
) -> None:
    page("a frame before authentication 4 KiB")
    outside = access.spoken(subprotocol)
    hello = {
        "protocol": "1.0",
        "agent": {"id": "small"},
        "namespace": outside.namespace,
        "auth": {"token": outside.token},
    }
    async with outside.opened(None) as peer:
        frame = frame_of(peer, BEFORE_HELLO, "session.hello", **hello)
        assert len(frame) == BEFORE_HELLO
        await peer.socket.send(frame)
        welcome = await peer.hear(lambda one: one.get("id") == "f")
        await peer.socket.send(frame_of(peer, 100_000, "task.submit", type="wc"))
        after = await peer.hear(lambda one: one.get("id") == "f")
    async with outside.opened(None) as peer:
        hello["agent"] = {"id": "large"}
        await peer.socket.send(
            frame_of(peer, BEFORE_HELLO + 1, "session.hello", **hello)
        )
        answer = await peer.answer(None)
        closed = await peer.closed()

    assert "result" in welcome
    assert "result" in after
    data = refused(answer, errors.PayloadTooLarge, "a frame of 4,097 bytes; 4,096")
    assert data["details"] == {"size": 4097, "limit": 4096}
    assert closed[0] == errors.CLOSE_PROTOCOL_ERROR
    assert "large" not in outside.shell.agents()


async def test_malformed_frames_before_hello_are_counted(outside: Outside) -> None:
    numbers = {3: "three", 8: "eight"}
    async with outside.opened() as peer:
        for _ in range(MISTAKES_LIMIT - 1):
            await peer.say([])
            malformed(await peer.answer(None), errors.INVALID_REQUEST, "a batch of 0")
        welcome = await peer.hello("forgiven", namespace=outside.namespace)
        for _ in range(MISTAKES_LIMIT):
            await peer.say([])
            malformed(await peer.answer(None), errors.INVALID_REQUEST, "a batch of 0")
        await peer.alive()

    assert "result" in welcome
    page(f"{numbers[MISTAKES_LIMIT]} of them before hello do")


async def test_hello_has_its_time_and_no_more(tight: Outside) -> None:
    page("no hello within 5 s: close 4501")
    outside = tight.spoken(JSON)
    async with outside.opened() as prompt:
        welcome = await prompt.hello("prompt", namespace=outside.namespace)
        async with outside.opened() as silent, outside.opened(None) as stranger:
            ends = [await silent.closed(), await stranger.closed()]
        await prompt.alive()  # the time of its own hello was over long before

    assert "result" in welcome
    for code, reason in ends:
        assert code == errors.CLOSE_UNAUTHORIZED
        assert reason == "no valid session.hello within 300 ms"


# -- documents -------------------------------------------------------------------


async def test_32_levels_are_kept_and_33_are_no_document(outside: Outside) -> None:
    page("JSON is at most 32 deep", "deeper than 32")
    async with outside.agent("deep") as peer:
        within = await peer.ok("task.submit", type="wc", data=deep(30))
        await peer.ask("task.submit", type="wc", data=deep(31))
        answer = await peer.answer(None)
        kept = await peer.ok("task.get", id=within["id"])
        await peer.alive()

    malformed(answer, errors.PARSE_ERROR, "nested deeper than 32 levels")
    assert kept["data"] == deep(30)
    assert len((await outside.kept())["tasks"]) == 1


async def test_10_000_values_are_kept_and_one_more_is_no_document(
    outside: Outside,
) -> None:
    page("holds at most 10,000 values")
    own = 1 + 4 + 2  # the frame, its four members, and the two of params
    async with outside.agent("wide") as peer:
        within = await peer.ok("task.submit", type="wc", data=[1] * (10_000 - own))
        await peer.ask("task.submit", type="wc", data=[1] * (10_001 - own))
        answer = await peer.answer(None)
        kept = await peer.ok("task.get", id=within["id"])
        await peer.alive()

    malformed(answer, errors.PARSE_ERROR, "more than 10,000 values")
    assert kept["data"] == [1] * (10_000 - own)
    assert len((await outside.kept())["tasks"]) == 1


async def test_a_batch_has_128_calls_and_no_more(outside: Outside) -> None:
    page("an array of at most 128 of them")
    ask = {"type": "wc"}
    async with outside.agent("many") as peer:
        answers = await in_batches(peer, "task.submit", [ask] * 128)
        await peer.say(batch("task.submit", [ask] * 129))
        answer = await peer.answer(None)
        await peer.alive()

    assert all("result" in one for one in answers)
    malformed(answer, errors.INVALID_REQUEST, "a batch of 129; 1 to 128 are allowed")
    tasks = await asyncio.to_thread(
        outside.shell, "task", "list", "--limit", "1000", "--namespace",
        outside.namespace, "--json",
    )  # fmt: skip
    assert len(tasks.json()["items"]) == 128


async def test_the_answers_of_a_batch_fit_into_one_frame(outside: Outside) -> None:
    page("an answer that finds no room beside the others is `payload_too_large`")
    async with outside.agent("bulky") as peer:
        task = (await peer.ok("task.submit", type="wc", data=texts(DATA)))["id"]
        calls = batch("task.get", [{"id": task}] * 8)
        submit = {"jsonrpc": "2.0", "id": 8, "method": "task.submit"}
        await peer.say([*calls, {**submit, "params": {"type": "wc"}}])
        answers = await peer.hear(lambda one: isinstance(one, list))
        alone = await peer.ok("task.get", id=task)

    assert len(peer.encoded(answers)) <= FRAME
    told = {one["id"]: one for one in answers}
    assert sorted(told) == list(range(9))
    assert told[8]["result"]["status"] == "pending"  # a small one always has room
    whole = [one for one in told.values() if "data" in one.get("result", {})]
    assert [one["result"]["data"] for one in whole] == [texts(DATA)] * 3
    for one in told.values():
        if "error" in one:
            data = refused(one, errors.PayloadTooLarge, "with the others of its batch")
            assert "alone" in data["remedy"]
    assert alone["data"] == texts(DATA)


async def test_a_task_may_be_as_large_as_all_its_parts(outside: Outside) -> None:
    async with outside.agent("notes", "job") as peer:
        await peer.ok("task.submit", type="job", data=texts(DATA))
        claim = await peer.accept()
        await peer.ok("task.progress", **claim, partial=texts(DATA))
        await peer.ok("task.complete", **claim, result=texts(DATA))
        task = await peer.ok("task.get", id=claim["id"])

    assert (len(task["data"]), len(task["result"])) == (DATA - 2, DATA - 2)


# -- data ------------------------------------------------------------------------

HEAVY = {
    "plain": "x" * (DATA - 2),
    "escaped": "\x01" * ((DATA - 2) // 6),
    "wide": "é" * ((DATA - 2) // 2),
}
"""Payloads of the limit: as JSON, whatever the subprotocol."""


@pytest.mark.parametrize("kind", HEAVY)
async def test_data_of_256_kib_is_kept_whole_and_a_byte_more_is_refused(
    kind: str, outside: Outside
) -> None:
    page(
        "`data`, results and partial results 256 KiB", "Over 256 KiB, `data` is a claim"
    )
    most, over = HEAVY[kind], HEAVY[kind] + "x" * 6
    async with outside.agent("data") as peer:
        task = (await peer.ok("task.submit", type="wc", data=most))["id"]
        await peer.ok("message.send", to={"topic": "t"}, type="x", data=most)
        answers = [
            await peer.call("task.submit", type="wc", data=over),
            await peer.call("message.send", to={"topic": "t"}, type="x", data=over),
            await peer.call(
                "message.request", to={"agent": "far"}, type="x", data=over
            ),
        ]
        kept = await peer.ok("task.get", id=task)
        await peer.alive()

    for answer in answers:
        data = refused(answer, errors.PayloadTooLarge, "data is 262,1")
        assert data["details"]["limit"] == DATA
    assert kept["data"] == most
    stored = await outside.kept()
    assert [one["data"] for one in stored["posted"]] == [most]
    assert [one["id"] for one in stored["tasks"]] == [task]
    assert await outside.letters("far") == []


@pytest.mark.parametrize("kind", ["plain", "wide"])
async def test_results_and_partial_results_have_256_kib(
    kind: str, outside: Outside
) -> None:
    most, over = HEAVY[kind], HEAVY[kind] + "x" * 6
    async with outside.agent("result", "job") as peer:
        await peer.ok("task.submit", type="job", retry={"max_attempts": 1})
        claim = await peer.accept()
        answers = [
            await peer.call("task.progress", **claim, partial=over),
            await peer.call("task.complete", **claim, result=over),
            await peer.call("task.fail", **claim, error=over),
        ]
        unchanged = await peer.ok("task.get", id=claim["id"])
        await peer.ok("task.progress", **claim, partial=most)
        await peer.ok("task.complete", **claim, result=most)
        done = await peer.ok("task.get", id=claim["id"])
        await peer.ok("task.submit", type="job", retry={"max_attempts": 1})
        await peer.ok("task.fail", **await peer.accept(), error=most)

    for answer, name in zip(answers, ("partial", "result", "error"), strict=True):
        refused(answer, errors.PayloadTooLarge, f"{name} is 262,1")
    assert unchanged["status"] in ("assigned", "running")
    assert unchanged.get("partial") is None
    assert (done["status"], done["result"] == most) == ("completed", True)


@pytest.mark.parametrize(
    "data",
    ["\x01" * 200_000, b"x" * 250_000],
    ids=["control characters", "bytes"],
)
async def test_what_grows_when_it_is_written_as_json_is_measured_as_json(
    data: Any, access: Outside
) -> None:
    """A msgpack frame may be a sixth of what the store has to keep."""
    outside = access.spoken(PACKED)
    async with outside.agent("grows", "job") as peer:
        await peer.ok("task.submit", type="job")
        claim = await peer.accept()
        answers = [
            await peer.call("task.submit", type="wc", data=data),
            await peer.call("message.send", to={"topic": "t"}, type="x", data=data),
            await peer.call("task.progress", **claim, partial=data),
            await peer.call("task.complete", **claim, result=data),
            await peer.call("task.fail", **claim, error=data),
        ]
        done = await peer.call("task.complete", **claim, result=1)

    for answer in answers:
        refused(answer, errors.PayloadTooLarge, "262,144 are allowed")
    assert done.get("result") == {}


async def test_larger_data_goes_by_a_claim_check_up_to_its_own_limit(
    tight: Outside,
) -> None:
    page("at most `objects_max_bytes`", "`POST /v1/objects`")
    content = b"x" * 1000
    status, told = await asyncio.to_thread(put, tight, content)
    over, problem = await asyncio.to_thread(put, tight, content + b"y")
    digest = hashlib.sha256(content + b"y").hexdigest()
    missing, _ = await asyncio.to_thread(put, tight, None, f"/{digest}")

    assert (status, told["size"]) == (201, 1000)
    assert told["$ref"] == f"nexa:object/{hashlib.sha256(content).hexdigest()}"
    assert (over, problem["reason"]) == (413, "payload_too_large")
    assert "retention.objects_max_bytes" in problem["remedy"]
    assert missing == 404


def put(outside: Outside, content: bytes | None, path: str = "") -> tuple[int, Any]:
    """Ask for an object by plain HTTP; status and answer."""
    url = outside.url.replace("ws", "http", 1).replace("/v1/agent", "/v1/objects")
    asked = urllib.request.Request(
        url + path,
        data=content,
        headers={
            "Authorization": f"Bearer {outside.token}",
            "Content-Type": "application/octet-stream",
        },
    )
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


# -- calls and what waits to be sent ---------------------------------------------


async def test_64_calls_are_worked_on_128_wait_and_the_next_is_limited(
    outside: Outside,
) -> None:
    page("At most 64 calls of one connection", "up to 128 more wait their turn")
    ask = {"to": {"agent": "mute"}, "type": "ask", "durable": False}
    async with outside.agent("mute") as mute, outside.opened() as peer:
        welcome = await peer.hello("busy", namespace=outside.namespace)
        for _ in range(64):
            await peer.ask("message.request", **ask, timeout_ms=60_000)
        asked = [(await mute.told("message.deliver"))["params"] for _ in range(64)]
        waiting = [await peer.ask("agents.find", limit=1) for _ in range(128)]
        over = await peer.call("task.submit", type="wc")
        assert not [one for one in peer.unread if one.get("id") in waiting]
        for each in asked:
            to = {"topic": each["reply_to"]}
            await mute.ok("message.send", to=to, type="answer", data=1)
        for number in waiting:
            assert "result" in await peer.answer(number)
        taken = await peer.ok("task.submit", type="wc")

    assert welcome["result"]["limits"]["inflight"] == 64
    data = refused(over, errors.RateLimited, "more than 64 calls wait")
    assert data["retry_after_ms"] == 100
    tasks = (await outside.kept())["tasks"]
    assert [one["id"] for one in tasks] == [taken["id"]]


async def test_a_burst_of_calls_of_one_that_reads_is_answered(outside: Outside) -> None:
    """It is the peer that is slow, or nobody: the node must write before it reads on."""
    page("A connection that does not read is closed with 4408")
    async with outside.agent("burst") as peer:
        protocol = peer.socket.protocol
        for number in range(3000):
            call = {"jsonrpc": "2.0", "id": number, "method": "agents.find"}
            frame = peer.encoded({**call, "params": {"limit": 1}})
            if isinstance(frame, str):
                protocol.send_text(frame.encode())
            else:
                protocol.send_binary(frame)
        peer.socket.transport.write(b"".join(protocol.data_to_send()))
        for number in range(3000):
            assert "result" in await peer.answer(number)


@BOTH
async def test_partial_results_that_pile_up_close_the_slow_watcher_alone(
    subprotocol: str, tight: Outside
) -> None:
    page("lets partial results pile up past its outbound limits, is closed with 4408")
    outside = tight.spoken(subprotocol)
    async with (
        outside.agent("works", "job") as works,
        outside.agent("near") as near,
        outside.opened() as slow,
    ):
        welcome = (await slow.hello("slow", namespace=outside.namespace))["result"]
        task = (await works.ok("task.submit", type="job"))["id"]
        claim = await works.accept()
        for watcher in (near, slow):
            await watcher.ok("task.watch", id=task)
        here = await asyncio.to_thread(connections, outside)
        slow.socket.transport.pause_reading()
        told: list[int] = []
        for number in range(400):
            await works.ok("task.progress", **claim, partial=[number, "x" * 200_000])
            told.append((await update(near))["partial"][0])
            if await asyncio.to_thread(connections, outside) < here:
                break
        slow.socket.transport.resume_reading()
        closed = await slow.closed()
        await works.ok("task.complete", **claim, result=1)
        last = await update(near, status="completed")
        async with outside.opened() as again:
            resume = {
                "session": welcome["session"],
                "token": welcome["resume_token"],
                "epoch": welcome["epoch"],
            }
            back = await again.hello("slow", namespace=outside.namespace, resume=resume)
            seen = await again.ok("task.watch", id=task)

    assert closed[0] == errors.CLOSE_SLOW
    assert told == list(range(len(told)))
    assert last["task"]["result"] == seen["task"]["result"] == 1
    assert back["result"]["resumed"] is True


async def update(peer: Peer, status: str | None = None) -> dict[str, Any]:
    """The next partial result that is told, or the change to a status."""

    def wanted(one: Any) -> bool:
        if one.get("method") != "task.update":
            return False
        params = one["params"]
        if status is not None:
            return params["task"]["status"] == status
        return params.get("partial") is not None

    return (await peer.hear(wanted))["params"]


async def test_more_frames_than_may_wait_close_the_one_that_does_not_read(
    tight: Outside,
) -> None:
    """Frames it did not ask for: its own questions are not read on meanwhile."""
    page("when 1,000 frames or 4 MiB wait for it")
    outside = tight.spoken(JSON)
    async with (
        outside.agent("works", "job") as works,
        outside.agent("near") as near,
        outside.opened() as slow,
    ):
        welcome = (await slow.hello("slow", namespace=outside.namespace))["result"]
        large = (await slow.ok("task.submit", type="wc", data="x" * 200_000))["id"]
        task = (await works.ok("task.submit", type="job"))["id"]
        claim = await works.accept()
        await slow.ok("task.watch", id=task)
        here = await asyncio.to_thread(connections, outside)
        slow.socket.transport.pause_reading()
        for _ in range(60):  # what the kernel takes is not waited for
            await slow.ask("task.get", id=large)
        for _ in range(20):
            if await asyncio.to_thread(connections, outside) < here:
                break
            await in_batches(works, "task.progress", [{**claim, "partial": 1}] * 128)
        await asyncio.to_thread(until, lambda: connections(outside) < here, "closed")
        await near.alive()
        slow.socket.transport.resume_reading()
        closed = await slow.closed()
        await works.ok("task.complete", **claim, result=1)

    assert welcome["limits"]["outbound"] == 200
    assert closed == (
        errors.CLOSE_SLOW,
        "the agent reads too slowly: resume when it can",
    )


# -- messages --------------------------------------------------------------------


@BOTH
async def test_a_burst_has_its_size_and_is_each_senders_own(
    subprotocol: str, tight: Outside
) -> None:
    page("50 messages a second with a burst of 100")
    outside = tight.spoken(subprotocol)
    send = {"to": {"topic": "t"}, "type": "x", "durable": False}
    async with outside.agent("fast") as fast, outside.agent("calm") as calm:
        answers = await in_batches(fast, "message.send", [send] * 300)
        over = await fast.call("message.send", **{**send, "durable": True})
        await calm.ok("message.send", **send)
        await fast.alive()

    assert all("result" in one for one in answers)
    data = refused(over, errors.RateLimited, "more than 0.01 messages a second")
    assert 50_000 < data["retry_after_ms"] <= 100_001
    assert (await outside.kept())["posted"] == []


@BOTH
async def test_a_full_inbox_is_told_to_the_sender_and_loses_nothing(
    subprotocol: str, tight: Outside
) -> None:
    page("An inbox holds `[retention] inbox_max` messages")
    outside = tight.spoken(subprotocol)
    async with outside.agent("reads") as reads:
        await reads.ok("session.bye")
    async with outside.agent("sends") as sends:
        to = {"to": {"agent": "reads"}, "type": "x"}
        for number in range(3):
            await sends.ok("message.send", **to, data=number)
        over = await sends.call("message.send", **to, data=3)
        to_all = await sends.call(
            "message.send", to={"broadcast": True}, type="x", data=4, id="b-1"
        )
        async with outside.agent("reads") as reads:
            got = [(await reads.told("message.deliver"))["params"] for _ in range(3)]
            await reads.ok("inbox.ack", upto=got[-1]["seq"])

            async def taken() -> bool:
                answer = await sends.call("message.send", **to, data=5)
                return "result" in answer

            async with asyncio.timeout(10):
                while not await taken():
                    await asyncio.sleep(0.05)
            last = (await reads.told("message.deliver"))["params"]

    data = refused(over, errors.RateLimited, "the inbox of reads holds 3 messages")
    assert data["details"] == {"reason": "inbox_full", "agent": "reads", "limit": 3}
    data = refused(to_all, errors.RateLimited, "1 of 1 inboxes are full")
    assert data["details"]["agents"] == ["reads"]
    assert data["details"]["id"] == "b-1"
    assert [one["data"] for one in got] == [0, 1, 2]
    assert last["data"] == 5


async def test_256_letters_may_be_put_off_at_once(tight_inbox: Outside) -> None:
    page("At most 256 at once: `rate_limited`", "(at most a day)")
    outside = tight_inbox.spoken(JSON)
    day_ms = 24 * 3600 * 1000
    async with outside.agent("later") as peer:
        send = {"to": {"agent": "later"}, "type": "x"}
        answers = await in_batches(peer, "message.send", [send] * 257)
        seqs = [one["result"]["seq"] for one in answers]
        for _ in seqs:
            await peer.told("message.deliver")
        put_off = [{"seq": seq, "delay_ms": day_ms} for seq in seqs]
        put_off_answers = await in_batches(peer, "inbox.nack", put_off[:256])
        over = await peer.call("inbox.nack", **put_off[256])
        too_long = await peer.call("inbox.nack", seq=seqs[0], delay_ms=day_ms + 1)
        await peer.ok("inbox.nack", seq=seqs[0], delay_ms=0)  # one of them: no more
        again = (await peer.told("message.deliver"))["params"]
        await peer.ok("inbox.nack", **put_off[256])

    assert all(one.get("result") == {} for one in put_off_answers)
    data = refused(over, errors.RateLimited, "256 messages are put off already")
    assert data["details"] == {"limit": 256}
    refused(too_long, errors.Invalid, "delay_ms: 0 to 86,400,000 is allowed")
    assert (again["seq"], again["attempts"]) == (seqs[0], 2)


@pytest.fixture(scope="module")
def tight_inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A node that lets an agent send as fast as it can."""
    with running(
        tmp_path_factory.mktemp("loose") / "home",
        "sessions.messages_burst=10000",
    ) as shell:
        yield Outside.of(shell)


# -- names -----------------------------------------------------------------------


async def test_a_slug_has_63_characters(outside: Outside) -> None:
    page("`[a-z0-9][a-z0-9_-]{0,62}`")
    over, unique = SLUG + "a", f"{outside.namespace}{SLUG}"[:63]
    able = [{"name": SLUG}]
    async with outside.opened() as peer:
        refusals = {
            "agent.id": await peer.hello(over),
            "namespace": await peer.hello(SLUG, namespace=over),
            "capabilities[0].name": await peer.hello(SLUG, over),
        }
        welcome = await peer.hello(SLUG, SLUG, namespace=unique)
        for _ in range(2):
            await peer.ok("task.submit", type=SLUG, id=f"x{unique}"[:63])
        calls: dict[str, tuple[str, dict[str, Any]]] = {
            "type": ("task.submit", {"type": over}),
            "id": ("task.submit", {"type": "wc", "id": over}),
            "parent": ("task.submit", {"type": "wc", "parent": over}),
            "to.agent": ("message.send", {"to": {"agent": over}, "type": "x"}),
            "to.capability": (
                "message.send",
                {"to": {"capability": over}, "type": "x"},
            ),
            "capability": ("agents.find", {"capability": over}),
        }
        for name, (method, params) in calls.items():
            refusals[f"{method} {name}"] = await peer.call(method, **params)
        await peer.ok("message.send", to={"agent": SLUG}, type="x")
        delivered = (await peer.told("message.deliver"))["params"]
        found = await peer.ok("agents.find", capability=SLUG)

    for name, answer in refusals.items():
        member = name.rpartition(" ")[2]
        data = refused(answer, errors.Invalid, f"{member}: 'aaaa")
        assert data["details"] == {"member": member}
    assert "result" in welcome
    assert delivered["to"] == {"agent": SLUG}
    assert [one["id"] for one in found["agents"]] == [SLUG]
    assert found["agents"][0]["capabilities"][0]["name"] == able[0]["name"]


TOPIC = ".".join(["a" * 15] * 16)


async def test_a_topic_has_255_characters_and_16_tokens(outside: Outside) -> None:
    page("at most 255 characters and 16 tokens")
    assert len(TOPIC) == 255
    long = ".".join(["a" * 63] * 3 + ["a" * 62])  # 254: one more is within
    refusals: dict[str, dict[str, Any]] = {}
    async with outside.agent("topics") as peer:
        await peer.ok("topic.subscribe", topic=TOPIC)
        await peer.ok("topic.subscribe", topic=".".join(["*"] * 15 + [">"]))
        await peer.ok("message.send", to={"topic": TOPIC}, type="x", data=1)
        delivered = (await peer.told("message.deliver"))["params"]
        for topic, says in {
            f"{TOPIC[:-15]}{'a' * 16}": "256 characters; 1 to 255 are allowed",
            f"{long}.a": "256 characters",
            ".".join(["a"] * 17): "17 tokens; at most 16",
            "": "0 characters",
            f"a.{SLUG}a": "is not slugs with dots between",
        }.items():
            refusals[says] = await peer.call(
                "message.send", to={"topic": topic}, type="x", data=1
            )
            answer = await peer.call("topic.subscribe", topic=topic)
            refused(answer, errors.Invalid, says)
        await peer.alive()

    assert delivered["subject"] == TOPIC
    for says, answer in refusals.items():
        refused(answer, errors.Invalid, says)
    assert len((await outside.kept())["posted"]) == 1


# -- what a session may have -----------------------------------------------------


async def test_a_session_has_256_subscriptions(outside: Outside) -> None:
    page(
        "A session has at most 256 subscriptions (`invalid`, with the limit in `details`)"
    )
    many = [{"topic": f"t{number}"} for number in range(257)]
    async with outside.agent("hears") as peer:
        answers = await in_batches(peer, "topic.subscribe", many[:256])
        over = await peer.call("topic.subscribe", **many[256])
        await peer.ok("topic.subscribe", **many[0])  # the same one is no other
        await peer.ok("message.send", to={"topic": "t256"}, type="x", data=0)
        await peer.ok("message.send", to={"topic": "t255"}, type="x", data=1)
        delivered = (await peer.told("message.deliver"))["params"]
        await peer.ok("topic.unsubscribe", **many[0])
        await peer.ok("topic.subscribe", **many[256])

    assert len({one["result"]["subscription"] for one in answers}) == 256
    data = refused(over, errors.Invalid, "256 subscriptions already")
    assert data["details"] == {"limit": 256}
    assert delivered["data"] == 1


async def test_a_session_watches_1024_tasks_and_64_kinds(outside: Outside) -> None:
    page("A session watches at most 1,024 single tasks and 64 times by type")
    async with outside.agent("sees") as peer:
        task = (await peer.ok("task.submit", type="wc"))["id"]
        ones = await in_batches(peer, "task.watch", [{"id": task}] * 1024)
        kinds = await in_batches(
            peer, "task.watch", [{"type": f"k{number}"} for number in range(64)]
        )
        over = await peer.call("task.watch", id=task)
        over_kind = await peer.call("task.watch", type="k64")
        submitted = await peer.call("task.submit", type="wc", watch=True)
        tasks = (await outside.kept())["tasks"]
        await peer.ok("task.unwatch", watch=ones[0]["result"]["watch"])
        await peer.ok("task.unwatch", watch=kinds[0]["result"]["watch"])
        await peer.ok("task.submit", type="wc", watch=True)
        await peer.ok("task.watch", type="k64")

    refused(over, errors.RateLimited, "watches 1,024 tasks already")
    refused(over_kind, errors.RateLimited, "watches by 64 types")
    refused(submitted, errors.RateLimited, "watches 1,024 tasks already")
    assert [one["id"] for one in tasks] == [task]


# -- tasks -----------------------------------------------------------------------


async def test_a_task_is_delegated_16_times(outside: Outside) -> None:
    page("at most 16 delegations deep", "more than 16 are `invalid`")
    async with outside.agent("chain") as peer:
        parent = await peer.ok("task.submit", type="wc", hops=15)
        child = await peer.ok("task.submit", type="wc", parent=parent["id"])
        last = await peer.ok("task.get", id=child["id"])
        over = await peer.call("task.submit", type="wc", parent=child["id"])
        said = await peer.call("task.submit", type="wc", hops=17)
        await peer.alive()

    assert last["hops"] == 16
    data = refused(over, errors.Invalid, "hops: 17 delegations, and 16 are allowed")
    assert data["details"] == {"member": "hops", "hops": 17, "limit": 16}
    refused(said, errors.Invalid, "hops: 0 to 16 is allowed")
    assert len((await outside.kept())["tasks"]) == 2


YEAR_MS = 365 * 24 * 3600 * 1000
NUMBERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "agents.find limit": ("agents.find", {"limit": 1000}, {"limit": 1001}),
    "task.list limit": ("task.list", {"limit": 1000}, {"limit": 1001}),
    "delay_ms": (
        "task.submit",
        {"type": "wc", "delay_ms": YEAR_MS},
        {"type": "wc", "delay_ms": YEAR_MS + 1},
    ),
    "not_before": (
        "task.submit",
        {"type": "wc", "not_before": "2020-01-01T00:00:00Z"},
        {"type": "wc", "not_before": "2999-01-01T00:00:00Z"},
    ),
    "hops below": ("task.submit", {"type": "wc"}, {"type": "wc", "hops": -1}),
    "credits": (
        "flow.credit",
        {"scope": "inbox", "n": 1_000_000},
        {"scope": "inbox", "n": 1_000_001},
    ),
    "slots": ("agent.report", {"slots": 10_000}, {"slots": 10_001}),
    "attempts": (
        "task.submit",
        {"type": "wc", "retry": {"max_attempts": 100}},
        {"type": "wc", "retry": {"max_attempts": 101}},
    ),
    "labels": (
        "task.submit",
        {"type": "wc", "labels": {str(n): "x" for n in range(64)}},
        {"type": "wc", "labels": {str(n): "x" for n in range(65)}},
    ),
    "a label": (
        "task.submit",
        {"type": "wc", "labels": {"k" * 256: "v" * 256}},
        {"type": "wc", "labels": {"k": "v" * 257}},
    ),
    "a message's id": (
        "message.send",
        {"to": {"topic": "t"}, "type": "x", "id": "i" * 256},
        {"to": {"topic": "t"}, "type": "x", "id": "i" * 257},
    ),
    "ttl_ms": (
        "message.send",
        {"to": {"topic": "t"}, "type": "x", "ttl_ms": YEAR_MS},
        {"to": {"topic": "t"}, "type": "x", "ttl_ms": YEAR_MS + 1},
    ),
}
"""Method, parameters at a limit, and above it."""


@pytest.mark.parametrize("name", NUMBERS)
async def test_what_is_in_range_is_taken_and_what_is_not_is_invalid(
    name: str, outside: Outside
) -> None:
    page("At most 1,000.", "at most 365 days away")
    method, within, above = NUMBERS[name]
    async with outside.agent("range") as peer:
        await peer.ok(method, **within)
        before = await outside.kept()
        answer = await peer.call(method, **above)
        await peer.alive()

    member = next(key for key in (*above, "") if within.get(key) != above.get(key))
    refused(answer, errors.Invalid, member)
    assert await outside.kept() == before
