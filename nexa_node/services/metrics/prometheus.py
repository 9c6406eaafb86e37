"""Prometheus' HTTP API over what all nodes measured: `/api/v1/…`.

Parameters, answers, errors and their status codes are Prometheus 2.42's, so that promtool
and Grafana work against a node. What is asked for wrongly is `bad_data` (400), what can't
be computed `execution` (422), what takes too long `timeout` (503).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.contract.version import VERSION
from nexa_node.core.exposition import Family
from nexa_node.ports import Clock
from nexa_node.services.api import PrometheusAnswer, PrometheusCall
from nexa_node.services.metrics.recorder import Recorder
from nexa_node.services.metrics.samples import RulesTold

if TYPE_CHECKING:  # numpy and the parser are loaded by the first query
    from nexa_node.services.metrics.querying import Querying

Form = Mapping[str, Sequence[str]]
READY_S = 15.0
"""How long a query waits for the first tick to load what is kept."""


class NoRules:
    """Nobody evaluates rules: a `RulesTold`."""

    async def groups(self) -> list[dict[str, Any]]:
        """None."""
        return []

    async def alerts(self) -> list[dict[str, Any]]:
        """None."""
        return []


class Prometheus:
    """Answers each call of the API."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        families: Callable[[], Iterable[Family]],
        clock: Clock,
    ) -> None:
        """Answer from what `recorder` keeps.

        Args:
            recorder: Keeps the samples of all nodes.
            families: This node's, for their help.
            clock: Says when now is.
        """
        self._recorder = recorder
        self._families = families
        self._clock = clock
        self._querying: Querying | None = None
        self.rules: RulesTold = NoRules()
        """Who knows of rules and alerts; set by the wiring once there is one."""

    async def ask(self, call: PrometheusCall) -> PrometheusAnswer:
        """Answer one call. Errors are answers, too."""
        from nexa_node.core.promql.samples import QueryError
        from nexa_node.services.metrics.querying import Uncomputable

        try:
            return PrometheusAnswer(await self._answer(call))
        except Uncomputable as error:
            return _error(503 if error.late else 422, error.kind, str(error))
        except QueryError as error:
            return _error(400, "bad_data", str(error))
        except Unavailable as error:
            return _error(503, "unavailable", error.message)
        except NexaError as error:
            return _error(error.status, "internal", error.message)

    async def _answer(self, call: PrometheusCall) -> bytes:
        form = call.form
        match call.what:
            case "metadata":
                return _success(self._metadata(form))
            case "buildinfo":
                from nexa_node.core.promql.answers import build_info

                return _success(build_info(VERSION))
            case "rules":
                return _success({"groups": await self._groups(form)})
            case "alerts":
                return _success({"alerts": await self.rules.alerts()})
            case _:
                return await self._query(call)

    async def _query(self, call: PrometheusCall) -> bytes:
        from nexa_node.core.promql import answers

        form = call.form
        asked, wanted = await self._asked(), tuple(form.get("match[]", ()))
        match call.what:
            case "query":
                at = _one(form, "time")
                at_ms = answers.time_ms(at, name="time") if at else None
                text, limit_s = _one(form, "query"), _limit_s(form)
                return await asked.instant(text, at_ms=at_ms, limit_s=limit_s)
            case "query_range":
                return await asked.over_time(
                    _one(form, "query"),
                    start_ms=answers.time_ms(_one(form, "start"), name="start"),
                    end_ms=answers.time_ms(_one(form, "end"), name="end"),
                    step_ms=answers.step_ms(_one(form, "step")),
                    limit_s=_limit_s(form),
                )
            case "series":
                return await asked.series(wanted, **_span(form))
            case "labels":
                return await asked.labels(wanted, **_span(form))
            case _:
                return await asked.values(call.label, wanted, **_span(form))

    async def _asked(self) -> "Querying":
        if self._querying is None:
            keeper = await self._recorder.keeper(READY_S)
            from nexa_node.services.metrics.querying import Querying

            self._querying = Querying(keeper.cluster, clock=self._clock)
        return self._querying

    def _metadata(self, form: Form) -> dict[str, list[dict[str, str]]]:
        wanted, limit = _one(form, "metric"), _one(form, "limit")
        most = int(limit) if limit.isdecimal() else 10_000
        told = sorted(self._families(), key=lambda family: family.name)
        chosen = [one for one in told if wanted in ("", one.name)][:most]
        return {
            one.name: [
                {"type": type(one).__name__.lower(), "help": one.help, "unit": ""}
            ]
            for one in chosen
        }

    async def _groups(self, form: Form) -> list[dict[str, Any]]:
        kind = {"alert": "alerting", "record": "recording"}.get(_one(form, "type"))
        groups = await self.rules.groups()
        if kind is None:
            return groups
        return [
            {**group, "rules": [one for one in group["rules"] if one["type"] == kind]}
            for group in groups
        ]


def _one(form: Form, name: str) -> str:
    return next(iter(form.get(name, ())), "")


def _span(form: Form) -> dict[str, int | None]:
    from nexa_node.core.promql.answers import time_ms

    start, end = _one(form, "start"), _one(form, "end")
    return {
        "start_ms": time_ms(start, name="start") if start else None,
        "end_ms": time_ms(end, name="end") if end else None,
    }


def _limit_s(form: Form) -> float | None:
    from nexa_node.core.promql.answers import step_ms

    asked = _one(form, "timeout")
    return step_ms(asked, name="timeout") / 1000 if asked else None


def _success(data: Any) -> bytes:
    return msgspec.json.encode({"status": "success", "data": data})


def _error(status: int, kind: str, told: str) -> PrometheusAnswer:
    content = {"status": "error", "errorType": kind, "error": told}
    return PrometheusAnswer(msgspec.json.encode(content), status)
