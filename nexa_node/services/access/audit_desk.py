"""Reading the audit: this node's own chain, and those of the others that answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

import msgspec

from nexa_node.contract.audit import AuditRecord, AuditVerdict, Checkpoint
from nexa_node.contract.errors import NexaError
from nexa_node.contract.rest import Page
from nexa_node.ports import AuditFiles, Checkpoints, NodeCalls
from nexa_node.services.access.witness import WitnessService
from nexa_node.services.audit_api import AuditFilter

LIST, VERIFY, WITNESS = "audit-list", "audit-verify", "audit-witness"
ASK_S = 5.0
VERIFY_S = 60.0
POINTS_MAX = 2000
"""Checkpoints that go in one call, the newest: some 600 KiB."""

_filter = msgspec.json.Decoder(AuditFilter)
_records = msgspec.json.Decoder(list[AuditRecord])
_verdict = msgspec.json.Decoder(AuditVerdict)
_points = msgspec.json.Decoder(list[Checkpoint])


class AuditDesk:
    """Answers for the cluster."""

    def __init__(  # noqa: PLR0913  # all that a chain is compared with
        self,
        files: AuditFiles,
        *,
        checkpoints: Checkpoints,
        calls: NodeCalls,
        node: str,
        living: Callable[[], Iterable[str]],
        witness: WitnessService | None = None,
        kept_since: Callable[[], datetime] | None = None,
        remembered: Callable[[], Awaitable[Checkpoint | None]] | None = None,
    ) -> None:
        """Read this node's `files`, and ask those who are `living`.

        Args:
            files: This node's own chain.
            checkpoints: What the cluster keeps.
            calls: The way to other nodes.
            node: This node's name.
            living: Names of those that may answer.
            witness: What this node heard of the others.
            kept_since: What was written before may have been retired.
            remembered: How far this node's chain is, by its own memory.
        """
        self._witness = witness
        self._kept_since = kept_since
        self._remembered = remembered
        self._files = files
        self._checkpoints = checkpoints
        self._calls = calls
        self._node = node
        self._living = living

    def serve(self) -> None:
        """Answer other nodes."""
        self._calls.serve(self._node, LIST, self._answer_list)
        self._calls.serve(self._node, VERIFY, self._answer_verify)
        self._calls.serve(self._node, WITNESS, self._answer_witness)

    async def page(self, query: AuditFilter) -> Page[AuditRecord]:
        """The newest first, of all nodes; one that does not answer is left out."""
        asked = msgspec.json.encode(query)
        answers = await asyncio.gather(
            *(
                self._of(node, query, asked)
                for node in sorted({self._node, *self._living()})
                if query.node in {None, node}
            )
        )
        found = sorted(
            (record for records in answers for record in records),
            key=_place,
            reverse=True,
        )
        items = tuple(found[: query.limit])
        more = len(found) > len(items) or len(items) == query.limit
        cursor = items[-1].entry.time.isoformat() if items and more else None
        return Page(items=items, next_cursor=cursor)

    async def verify(self) -> AuditVerdict:
        """Every chain that can be read; the first fault, or the sum."""
        nodes = sorted({self._node, *self._living()})
        heard = dict(
            zip(nodes, await asyncio.gather(*map(self._heard_by, nodes)), strict=True)
        )
        verdicts = await asyncio.gather(
            *(
                self._verify(
                    node,
                    [
                        point
                        for other, points in heard.items()
                        for point in points
                        if other != node and point.chain.startswith(f"{node}/")
                    ],
                )
                for node in nodes
            )
        )
        for told in verdicts:
            if told.status == "broken":
                return told
        missing = [told for told in verdicts if told.status == "incomplete"]
        return AuditVerdict(
            status="incomplete" if missing else "ok",
            records=sum(told.records for told in verdicts),
            reason="; ".join(told.reason for told in missing),
            checkpoints=sum(told.checkpoints for told in verdicts),
            witnesses=sum(bool(points) for points in heard.values()),
        )

    async def _of(
        self, node: str, query: AuditFilter, asked: bytes
    ) -> list[AuditRecord]:
        if node == self._node:
            return await self._newest(query)
        try:
            answer = await self._calls.ask(node, LIST, asked, timeout_s=ASK_S)
            return _records.decode(answer)
        except (NexaError, msgspec.DecodeError):
            return []

    async def _newest(self, query: AuditFilter) -> list[AuditRecord]:
        return await self._files.newest(
            query.takes, limit=query.limit, since=query.since, before=query.before
        )

    async def _verify(self, node: str, heard: list[Checkpoint]) -> AuditVerdict:
        try:
            if node == self._node:
                return await self._own_verdict(heard)
            payload = msgspec.json.encode(heard[-POINTS_MAX:])
            answer = await self._calls.ask(node, VERIFY, payload, timeout_s=VERIFY_S)
            return _verdict.decode(answer)
        except (NexaError, msgspec.DecodeError) as error:
            reason = f"{node} could not be asked: {error}"
            return AuditVerdict(status="incomplete", records=0, reason=reason)

    async def _answer_list(self, payload: bytes) -> bytes:
        return msgspec.json.encode(await self._newest(_filter.decode(payload)))

    async def _answer_verify(self, payload: bytes) -> bytes:
        # A node of before 0.2 asks with nothing.
        heard = _points.decode(payload) if payload else []
        return msgspec.json.encode(await self._own_verdict(heard))

    async def _answer_witness(self, _payload: bytes) -> bytes:
        return msgspec.json.encode((await self._heard_here())[-POINTS_MAX:])

    async def _own_verdict(self, heard: list[Checkpoint]) -> AuditVerdict:
        """Compare this node's chain with what the store keeps, and what others heard."""
        mine = f"{self._node}/"
        told = [*await self._checkpoints.all(), *heard]
        since = None if self._kept_since is None else self._kept_since()
        points = [
            point
            for point in told
            if point.chain.startswith(mine) and (since is None or point.time >= since)
        ]
        own = None if self._remembered is None else await self._remembered()
        verdict = await self._files.verify(points if own is None else [*points, own])
        if own is not None:
            compared = max(0, verdict.checkpoints - 1)
            verdict = msgspec.structs.replace(verdict, checkpoints=compared)
        if own is not None and verdict.status == "incomplete" and not verdict.records:
            reason = f"nothing is left of {own.seq} records that this node wrote"
            verdict = msgspec.structs.replace(
                verdict, status="broken", reason=reason, first_bad=1, chain=own.chain
            )
        if verdict.status == "broken" and not verdict.chain:
            return msgspec.structs.replace(verdict, chain=self._node)
        return verdict

    async def _heard_here(self) -> list[Checkpoint]:
        if self._witness is None:
            return []
        return await self._witness.heard()

    async def _heard_by(self, node: str) -> list[Checkpoint]:
        """What a node heard of the others; nothing, if it does not answer."""
        try:
            if node == self._node:
                return await self._heard_here()
            return _points.decode(
                await self._calls.ask(node, WITNESS, b"", timeout_s=ASK_S)
            )
        except (NexaError, msgspec.DecodeError):
            return []


def _place(record: AuditRecord) -> tuple[datetime, str, int]:
    return record.entry.time, record.chain, record.seq
