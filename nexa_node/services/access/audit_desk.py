"""Reading the audit: this node's own chain, and those of the others that answer."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from nexa_node.contract.audit import AuditRecord, AuditVerdict
from nexa_node.contract.errors import NexaError
from nexa_node.contract.rest import Page
from nexa_node.ports import AuditFiles, Checkpoints, NodeCalls
from nexa_node.services.audit_api import AuditFilter

LIST, VERIFY = "audit-list", "audit-verify"
ASK_S = 5.0
VERIFY_S = 60.0

_filter = msgspec.json.Decoder(AuditFilter)
_records = msgspec.json.Decoder(list[AuditRecord])
_verdict = msgspec.json.Decoder(AuditVerdict)


class AuditDesk:
    """Answers for the cluster."""

    def __init__(
        self,
        files: AuditFiles,
        *,
        checkpoints: Checkpoints,
        calls: NodeCalls,
        node: str,
        living: Callable[[], Iterable[str]],
    ) -> None:
        """Read this node's `files`, and ask those who are `living`."""
        self._files = files
        self._checkpoints = checkpoints
        self._calls = calls
        self._node = node
        self._living = living

    def serve(self) -> None:
        """Answer other nodes."""
        self._calls.serve(self._node, LIST, self._answer_list)
        self._calls.serve(self._node, VERIFY, self._answer_verify)

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
        verdicts = await asyncio.gather(*(self._verify(node) for node in nodes))
        for told in verdicts:
            if told.status == "broken":
                return told
        missing = [told for told in verdicts if told.status == "incomplete"]
        return AuditVerdict(
            status="incomplete" if missing else "ok",
            records=sum(told.records for told in verdicts),
            reason="; ".join(told.reason for told in missing),
            checkpoints=sum(told.checkpoints for told in verdicts),
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

    async def _verify(self, node: str) -> AuditVerdict:
        try:
            if node == self._node:
                return await self._files.verify(await self._checkpoints.all())
            answer = await self._calls.ask(node, VERIFY, b"", timeout_s=VERIFY_S)
            return _verdict.decode(answer)
        except (NexaError, msgspec.DecodeError) as error:
            reason = f"{node} could not be asked: {error}"
            return AuditVerdict(status="incomplete", records=0, reason=reason)

    async def _answer_list(self, payload: bytes) -> bytes:
        return msgspec.json.encode(await self._newest(_filter.decode(payload)))

    async def _answer_verify(self, _payload: bytes) -> bytes:
        verdict = await self._files.verify(await self._checkpoints.all())
        return msgspec.json.encode(verdict)


def _place(record: AuditRecord) -> tuple[datetime, str, int]:
    return record.entry.time, record.chain, record.seq
