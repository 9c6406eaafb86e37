"""What a well-formed call must also be before anybody acts on it.

Ids become subjects, keys and file names, so each is a slug; numbers are within what
the services can count with; times have a zone; texts end somewhere. Everything here
raises `Invalid` or `PayloadTooLarge` and names the member and the mending value.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from nexa_node.contract import frames
from nexa_node.contract.agents import Capability
from nexa_node.contract.errors import Invalid, PayloadTooLarge
from nexa_node.contract.ids import is_slug
from nexa_node.contract.messages import Address, NewMessage
from nexa_node.contract.rest import PAGE_MAX
from nexa_node.contract.tasks import Budget, NewTask, RetryPolicy, Usage
from nexa_node.core.replies import is_reserved
from nexa_node.core.topics import check_pattern, check_topic

TEXT_LIMIT = 256
"""Characters of a name, a note's key, a label."""
NOTE_LIMIT = 1024
LABELS_LIMIT = 64
CAPABILITIES_LIMIT = 64
SLOTS_LIMIT = 10_000
ATTEMPTS_LIMIT = 100
DAY_MS = 24 * 3600 * 1000
TTL_LIMIT_MS = 365 * DAY_MS
HOPS_LIMIT = 16
"""Tasks that beget tasks: after so many generations it is a loop."""
DELAY_LIMIT = timedelta(days=365)
"""How far away the beginning of a task may be."""
CREDITS_LIMIT = 1_000_000
COUNT_LIMIT = 2**53
"""Integers that every JSON reader keeps exactly."""
TIMEOUT_LIMIT_MS = 3600 * 1000
"""For the answer to a request."""


def check(params: msgspec.Struct) -> None:
    """Check the parameters of any method of the agent protocol.

    Raises:
        Invalid: A member means nothing; it is named.
    """
    checker = _CHECKS.get(type(params))
    if checker is not None:
        checker(params)


def check_task(task: NewTask) -> None:
    """Check what is asked for."""
    _slug("type", task.type)
    for name in ("id", "namespace", "parent"):
        _optional_slug(name, getattr(task, name))
    _texts(fairness_key=task.fairness_key, idempotency_key=task.idempotency_key)
    if task.id is not None and task.idempotency_key is not None:
        raise Invalid(
            "idempotency_key: give either it or id, never both: one task can't be known "
            "by two names, and an id is as good as a key",
            remedy="leave one of them out; the same submission may be made again by it",
            details={"member": "idempotency_key"},
        )
    _labels("labels", task.labels)
    _zoned("deadline", task.deadline)
    _zoned("start_by", task.start_by)
    if task.est_seconds is not None:
        _number("est_seconds", task.est_seconds, 0, DAY_MS)
    _number("hops", task.hops, 0, HOPS_LIMIT)
    _retry(task.retry)
    _budget(task.budget)
    _delay(task)


def check_message(message: NewMessage) -> None:
    """Check what is sent, and to whom."""
    _address(message.to)
    _text("type", message.type, least=1)
    _texts(id=message.id)
    if message.reply_to is not None:
        check_topic("reply_to", message.reply_to)
    if message.id is not None:
        _printable("id", message.id)
    if message.ttl_ms is not None:
        _number("ttl_ms", message.ttl_ms, 1, TTL_LIMIT_MS)


def check_size(name: str, value: Any, limit: int) -> None:
    """Check that `value`, encoded, is at most `limit` bytes.

    Raises:
        PayloadTooLarge: It is more.
        Invalid: It is nothing that JSON can hold.
    """
    try:
        size = len(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"{name}: JSON cannot hold it: {error}") from None
    if size > limit:
        raise PayloadTooLarge(
            f"{name} is {size:,} bytes, and {limit:,} are allowed",
            remedy=(
                'store it elsewhere and send {"$ref", "size", "sha256"}, or raise '
                "sessions.data_bytes"
            ),
            details={"size": size, "limit": limit},
        )


PAYLOADS: dict[type[msgspec.Struct], str] = {
    NewTask: "data",
    NewMessage: "data",
    frames.RequestMessage: "data",
    frames.Progress: "partial",
    frames.Complete: "result",
    frames.Fail: "error",
}
"""The one member of these parameters that may be large."""


def payload_of(params: msgspec.Struct) -> str | None:
    """Name the member of `params` that may be large, if there is one."""
    return PAYLOADS.get(type(params))


def parse_moment(text: Any) -> datetime:
    """Read a moment with a time zone.

    Raises:
        Invalid: It is none.
    """
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise Invalid(f"from.time: {_shown(str(text))}: {error}") from None
    _zoned("from.time", moment)
    return moment


def _hello(hello: frames.Hello) -> None:
    _slug("agent.id", hello.agent.id)
    _not_reserved("agent.id", hello.agent.id)
    _optional_slug("namespace", hello.namespace)
    _texts(**{"agent.name": hello.agent.name, "agent.version": hello.agent.version})
    incarnation = hello.agent.incarnation
    if incarnation is not None:
        _text("agent.incarnation", str(incarnation)[: TEXT_LIMIT + 1])
    _number("slots", hello.slots, 0, SLOTS_LIMIT)
    if len(hello.capabilities) > CAPABILITIES_LIMIT:
        raise Invalid(f"capabilities: more than {CAPABILITIES_LIMIT}")
    names = [capability.name for capability in hello.capabilities]
    if len(set(names)) != len(names):
        raise Invalid("capabilities: one is named twice")
    for at, capability in enumerate(hello.capabilities):
        _capability(f"capabilities[{at}]", capability)
    if hello.resume is not None:
        _number("resume.last_seq", hello.resume.last_seq, 0, COUNT_LIMIT)


def _capability(where: str, capability: Capability) -> None:
    _slug(f"{where}.name", capability.name)
    _texts(**{f"{where}.version": capability.version})
    _labels(f"{where}.labels", capability.labels)
    if not (math.isfinite(capability.weight) and 0 < capability.weight <= COUNT_LIMIT):
        raise Invalid(f"{where}.weight: {capability.weight} is not above 0")


def _report(report: frames.Report) -> None:
    if report.load is not None:
        _number("load", report.load, 0, COUNT_LIMIT)
    if report.slots is not None:
        _number("slots", report.slots, 0, SLOTS_LIMIT)
    _usage(report.usage)


def _find(find: frames.Find) -> None:
    _optional_slug("capability", find.capability)
    _labels("labels", find.labels)
    _number("limit", find.limit, 1, PAGE_MAX)
    _texts(cursor=find.cursor)


def _query(query: frames.TaskQuery) -> None:
    _optional_slug("type", query.type)
    _optional_slug("parent", query.parent)
    _number("limit", query.limit, 1, PAGE_MAX)
    _texts(cursor=query.cursor)


def _ack(ack: frames.Ack) -> None:
    told = [number for number in (ack.seq, ack.upto) if number is not None]
    if len(told) != 1:
        raise Invalid("inbox.ack: give either seq or upto")
    _number("seq" if ack.upto is None else "upto", told[0], 0, COUNT_LIMIT)


def _request(request: frames.RequestMessage) -> None:
    check_message(request)
    _number("timeout_ms", request.timeout_ms, 1, TIMEOUT_LIMIT_MS)


def _subscribe(subscribe: frames.Subscribe) -> None:
    check_pattern("topic", subscribe.topic)
    _not_reserved("topic", subscribe.topic)
    start = subscribe.start
    if not isinstance(start, dict):
        return
    if set(start) == {"time"}:
        parse_moment(start["time"])
        return
    seq = start.get("seq")
    if set(start) != {"seq"} or not isinstance(seq, int) or isinstance(seq, bool):
        raise Invalid('from: "new", "all", {"seq": a number} or {"time": "…Z"}')
    _number("from.seq", seq, 0, COUNT_LIMIT)


def _unsubscribe(unsubscribe: frames.Unsubscribe) -> None:
    if (unsubscribe.topic is None) == (unsubscribe.subscription is None):
        raise Invalid("topic.unsubscribe: give either topic or subscription")


def _nack(nack: frames.Nack) -> None:
    _number("seq", nack.seq, 0, COUNT_LIMIT)
    _number("delay_ms", nack.delay_ms, 0, DAY_MS)


def _term(term: frames.Term) -> None:
    _number("seq", term.seq, 0, COUNT_LIMIT)
    _text("reason", term.reason)


def _credit(credit: frames.Credit) -> None:
    _number("n", credit.n, 0, CREDITS_LIMIT)


def _delay(task: NewTask) -> None:
    _zoned("not_before", task.not_before)
    if task.delay_ms is None:
        return
    if task.not_before is not None:
        raise Invalid("not_before: give either it or delay_ms")
    _number("delay_ms", task.delay_ms, 0, DELAY_LIMIT // timedelta(milliseconds=1))


def _watch(watch: frames.Watch) -> None:
    by_filter = (watch.type, watch.parent, watch.status)
    if (watch.id is None) == all(each is None for each in by_filter):
        raise Invalid("task.watch: give either an id, or a type, parent or status")
    for name in ("id", "type", "parent"):
        _optional_slug(name, getattr(watch, name))


def _unwatch(unwatch: frames.Unwatch) -> None:
    _text("watch", unwatch.watch, least=1)


def _fail(fail: frames.Fail) -> None:
    _slug("id", fail.id)
    _usage(fail.usage)


def _budget(budget: Budget | None) -> None:
    if budget is None:
        return
    if budget.tokens is not None:
        _number("budget.tokens", budget.tokens, 0, COUNT_LIMIT)
    if budget.cost_usd is not None:
        _number("budget.cost_usd", budget.cost_usd, 0, COUNT_LIMIT)


def _reference(
    reference: frames.TaskRef | frames.Progress | frames.Release,
) -> None:
    _slug("id", reference.id)


def _progress(progress: frames.Progress) -> None:
    _reference(progress)
    if progress.pct is not None:
        _number("pct", progress.pct, 0, 100)
    if progress.note is not None and len(progress.note) > NOTE_LIMIT:
        raise Invalid(f"note: longer than {NOTE_LIMIT} characters")
    _usage(progress.usage)


def _complete(complete: frames.Complete) -> None:
    _slug("id", complete.id)
    _usage(complete.usage)


def _usage(usage: Usage | None) -> None:
    if usage is None:
        return
    _texts(**{"usage.model": usage.model})
    _number("usage.input_tokens", usage.input_tokens, 0, COUNT_LIMIT)
    _number("usage.output_tokens", usage.output_tokens, 0, COUNT_LIMIT)
    _number("usage.cost_usd", usage.cost_usd, 0, COUNT_LIMIT)


def _retry(retry: RetryPolicy) -> None:
    _number("retry.max_attempts", retry.max_attempts, 1, ATTEMPTS_LIMIT)
    _number("retry.backoff_ms", retry.backoff_ms, 0, DAY_MS)
    _number("retry.max_backoff_ms", retry.max_backoff_ms, 0, DAY_MS)


def _address(to: Address) -> None:
    told = (to.agent, to.topic, to.capability, to.broadcast)
    if sum(part is not None for part in told) != 1 or to.broadcast is False:
        raise Invalid(
            "to: give exactly one of agent, topic, capability and broadcast: true"
        )
    _optional_slug("to.agent", to.agent)
    _optional_slug("to.capability", to.capability)
    if to.topic is not None:
        check_topic("to.topic", to.topic)


def _not_reserved(name: str, text: str) -> None:
    if is_reserved(text):
        raise Invalid(
            f"{name}: names that begin like {_shown(text)} are addresses of answers",
            remedy="choose another name",
            details={"member": name},
        )


def _slug(name: str, text: str) -> None:
    if not is_slug(text):
        raise Invalid(
            f"{name}: {_shown(text)} is not a slug: a lower-case letter or digit, then "
            "at most 62 of those, - and _",
            details={"member": name},
        )


def _optional_slug(name: str, text: str | None) -> None:
    if text is not None:
        _slug(name, text)


def _texts(**texts: str | None) -> None:
    for name, text in texts.items():
        if text is not None:
            _text(name, text)


def _text(name: str, text: str, *, least: int = 0) -> None:
    if not least <= len(text) <= TEXT_LIMIT:
        raise Invalid(f"{name}: {least} to {TEXT_LIMIT} characters are allowed")


def _printable(name: str, text: str) -> None:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise Invalid(f"{name}: printable ASCII without spaces, at least one character")


def _labels(name: str, labels: Mapping[str, str]) -> None:
    if len(labels) > LABELS_LIMIT:
        raise Invalid(f"{name}: more than {LABELS_LIMIT}")
    for key, value in labels.items():
        _text(name, key, least=1)
        _text(f"{name}.{_shown(key)}", value)


def _zoned(name: str, moment: datetime | None) -> None:
    if moment is not None and moment.tzinfo is None:
        raise Invalid(f"{name}: it needs a time zone; end it with Z for UTC")


def _number(name: str, number: float, least: int, most: int) -> None:
    if not least <= number <= most:
        raise Invalid(f"{name}: {least:,} to {most:,} is allowed")


def _shown(text: str) -> str:
    return ascii(text[:64])


_CHECKS: dict[type[msgspec.Struct], Callable[[Any], None]] = {
    frames.Hello: _hello,
    frames.Report: _report,
    frames.Find: _find,
    frames.RequestMessage: _request,
    frames.Subscribe: _subscribe,
    frames.Unsubscribe: _unsubscribe,
    frames.Ack: _ack,
    frames.Nack: _nack,
    frames.Term: _term,
    frames.Credit: _credit,
    frames.TaskRef: _reference,
    frames.TaskQuery: _query,
    frames.Progress: _progress,
    frames.Complete: _complete,
    frames.Fail: _fail,
    frames.Watch: _watch,
    frames.Unwatch: _unwatch,
    frames.Release: _reference,
    NewTask: check_task,
    NewMessage: check_message,
}
