"""Alertmanager's API, version 2: `ports.AlertmanagerServer` over all of its members.

Alerts are pushed to every member, as Prometheus does: they keep each other from telling
twice, and a load balancer between them would hide alerts from some. Silences are read
from and written to the first that answers; the members tell each other.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from nexa_node.adapters.prometheus.asking import Api
from nexa_node.contract.alerts import Alert, LabelMatcher, MatcherKind, Silence
from nexa_node.contract.errors import Invalid, NexaError, NotFound, Unavailable
from nexa_node.core.alerting.notifying.notices import RUNBOOK
from nexa_node.core.alerting.notifying.texts import stamp
from nexa_node.core.alerting.notifying.webhook import generator_url

T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_OVER = ("already expired", "silence not found")
"""Older ones say so by 500."""
_KINDS: dict[tuple[bool, bool], MatcherKind] = {
    (True, False): "=",
    (False, False): "!=",
    (True, True): "=~",
    (False, True): "!~",
}
_FLAGS = {kind: flags for flags, kind in _KINDS.items()}


class _Posted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    generator_url: str = msgspec.field(name="generatorURL")


class _Matcher(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class _State(msgspec.Struct, frozen=True):
    state: str


class _Silence(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    status: _State
    matchers: tuple[_Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    created_by: str
    comment: str


class _NewSilence(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    id: str = ""
    matchers: tuple[_Matcher, ...]
    starts_at: str
    ends_at: str
    created_by: str
    comment: str


class _Made(msgspec.Struct, frozen=True):
    silence: str = msgspec.field(name="silenceID")


class _Cluster(msgspec.Struct, frozen=True):
    status: str
    peers: tuple[object, ...] = ()


class _Version(msgspec.Struct, frozen=True):
    version: str


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    cluster: _Cluster
    version_info: _Version


class Alertmanager:
    """`ports.AlertmanagerServer`."""

    def __init__(self, members: Sequence[Api], *, runbooks: str = "") -> None:
        """Speak to `members`, at least one.

        Args:
            members: All of its cluster.
            runbooks: What `nexa://runbook/` becomes in annotations.
        """
        self._members = tuple(members)
        self._runbooks = runbooks

    async def push(self, alerts: Sequence[Alert], *, ends: datetime) -> tuple[str, ...]:
        """Tell every member of alerts; those that fire count as over after `ends`."""
        body = [self._posted(alert, ends) for alert in alerts]
        results = await asyncio.gather(
            *(api.post("/api/v2/alerts", body) for api in self._members),
            return_exceptions=True,
        )
        failures: list[str] = []
        for result in results:
            if isinstance(result, NexaError):
                failures.append(result.message)
            elif isinstance(result, BaseException):
                raise result
        if len(failures) == len(self._members):
            raise Unavailable(failures[0], remedy="see [alerting] alertmanagers")
        return tuple(failures)

    async def silences(self) -> list[Silence]:
        """All silences that are in force or will be."""
        found = await self._first(
            lambda api: api.get("/api/v2/silences", tuple[_Silence, ...])
        )
        return [_read(one) for one in found if one.status.state != "expired"]

    async def put_silence(self, silence: Silence) -> str:
        """Make a silence, or change the one with its id; the id it has then."""
        body = _NewSilence(
            id=silence.id,
            matchers=tuple(_written(one) for one in silence.matchers),
            starts_at=stamp(silence.starts),
            ends_at=stamp(silence.ends),
            created_by=silence.by,
            comment=silence.comment,
        )

        async def put(api: Api) -> str:
            content = await api.post("/api/v2/silences", body)
            return api.decoded(content, _Made).silence

        return await self._first(put)

    async def expire(self, silence_id: str) -> None:
        """End a silence; no error if it is over."""
        if not _ID.fullmatch(silence_id):
            raise Invalid(f"{silence_id[:80]!r} is no id of a silence")
        try:
            await self._first(lambda api: api.delete(f"/api/v2/silence/{silence_id}"))
        except NotFound:
            return
        except (Invalid, Unavailable) as error:
            if not any(words in error.message for words in _OVER):
                raise

    async def status(self) -> str:
        """Say which version answers, and how its cluster is."""
        told = await self._first(lambda api: api.get("/api/v2/status", _Status))
        peers = len(told.cluster.peers)
        return (
            f"Alertmanager {told.version_info.version}, cluster {told.cluster.status}"
            f" of {max(1, peers)}"
        )

    async def _first(self, ask: Callable[[Api], Awaitable[T]]) -> T:
        """The answer of the first member that gives one."""
        failed: Unavailable | None = None
        for api in self._members:
            try:
                return await ask(api)
            except Unavailable as error:
                failed = failed or error
        assert failed is not None
        raise failed

    def _posted(self, alert: Alert, ends: datetime) -> _Posted:
        over = alert.state == "resolved" and not alert.flapping
        annotations = alert.annotations
        if self._runbooks:
            annotations = {
                name: self._runbooks + text.removeprefix(RUNBOOK)
                if text.startswith(RUNBOOK)
                else text
                for name, text in annotations.items()
            }
        return _Posted(
            labels={name: text for name, text in alert.labels.items() if text},
            annotations=annotations,
            starts_at=stamp(alert.fired or alert.since),
            ends_at=stamp((alert.resolved or ends) if over else ends),
            generator_url=generator_url(alert.fingerprint),
        )


def _read(told: _Silence) -> Silence:
    return Silence(
        id=told.id,
        matchers=tuple(
            LabelMatcher(
                name=one.name,
                kind=_KINDS[one.is_equal, one.is_regex],
                value=one.value,
            )
            for one in told.matchers
        ),
        starts=told.starts_at,
        ends=told.ends_at,
        by=told.created_by,
        comment=told.comment,
        created=told.updated_at,
    )


def _written(matcher: LabelMatcher) -> _Matcher:
    equal, regex = _FLAGS[matcher.kind]
    return _Matcher(
        name=matcher.name, value=matcher.value, is_equal=equal, is_regex=regex
    )
