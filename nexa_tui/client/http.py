"""A real node, over REST and the feed. httpx is imported when the first call is made."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from nexa_node.contract.access import (
    NamespaceView,
    NewToken,
    Role,
    RotateToken,
    TokenCreated,
    TokenView,
)
from nexa_node.contract.alerts import (
    Alert,
    AlertChange,
    AlertDetail,
    Handover,
    NewAck,
    NewNote,
    NewSilence,
    Rule,
    Silence,
    SilencePreview,
)
from nexa_node.contract.audit import AuditRecord, AuditVerdict
from nexa_node.contract.checks import CheckResult
from nexa_node.contract.cluster import (
    ClusterChange,
    JoinToken,
    Maintenance,
    NewJoinToken,
)
from nexa_node.contract.errors import NexaError, Unavailable
from nexa_node.contract.ids import AgentId, TaskId
from nexa_node.contract.logs import LogLine
from nexa_node.contract.messages import NewMessage, Posted, Sent, Shelf
from nexa_node.contract.nodes import Cluster, NodeStatus
from nexa_node.contract.plans import Plan
from nexa_node.contract.rest import PAGE_MAX, Page
from nexa_node.contract.tasks import (
    Explanation,
    NewTask,
    Redrive,
    Redriven,
    Submitted,
    Task,
    TaskSummary,
)
from nexa_tui.client.api import Deed, FeedNews, Glance
from nexa_tui.client.clock import Clock
from nexa_tui.client.discovery import Target
from nexa_tui.client.feed import Feed, Resolve
from nexa_tui.client.problems import told, unreadable
from nexa_tui.client.prometheus import Row, matrix, refusal
from nexa_tui.client.read_only import check_call
from nexa_tui.client.threads import beside
from nexa_tui.client.trust import context_for, trouble_in

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
CONNECT_S = 3.0
ANSWER_S = 15.0
SELFTEST_S = 60.0
_DEEDS: Mapping[Deed, tuple[str, str]] = {
    "drain": ("POST", "/v1/nodes/{}/drain"),
    "disconnect": ("POST", "/v1/agents/{}/disconnect"),
    "revoke_token": ("DELETE", "/v1/tokens/{}"),
}
_NDJSON = {"Accept": "application/x-ndjson"}


class HttpNode:
    """One node; see `api.NodeClient` for what each call guarantees."""

    def __init__(
        self, target: Target, clock: Clock, rng: random.Random, *, resolve: Resolve
    ) -> None:
        """Prepare; nothing is sent yet. `resolve` is asked before each reconnection."""
        self._feed = Feed(target, clock, rng, resolve=resolve)
        self._read_only = target.read_only  # also once it is found elsewhere
        self._http: httpx.AsyncClient | None = None
        self._made_for: Target | None = None
        self._opening = asyncio.Lock()

    @property
    def target(self) -> Target:
        """The node that is meant; it may move when it is restarted."""
        return self._feed.target

    def feed(self) -> AsyncIterator[FeedNews]:
        """Watch."""
        return self._feed.watch()

    async def selftest(self, *, only: str | None = None) -> AsyncIterator[CheckResult]:
        """Run the node's self-test."""
        import httpx

        http = await self._connection()
        decoder = msgspec.json.Decoder(CheckResult)
        query = {"only": only} if only else {}
        timeout = httpx.Timeout(SELFTEST_S, connect=CONNECT_S)
        try:
            async with http.stream(
                "POST", "/v1/selftest", params=query, headers=_NDJSON, timeout=timeout
            ) as answer:
                if answer.is_error:
                    raise told(answer.status_code, await answer.aread(), self.target)
                async for line in answer.aiter_lines():
                    if line:
                        yield decoder.decode(line)
        except (httpx.TransportError, OSError) as error:  # TLS's own pass httpx by
            raise self._unreachable(error) from error
        except msgspec.DecodeError as error:
            raise unreadable(self.target, str(error)) from error

    async def task(self, task_id: TaskId) -> Task:
        """Fetch one task."""
        return await self._call("GET", f"/v1/tasks/{quote(task_id, safe='')}", Task)

    async def explain(self, task_id: TaskId) -> Explanation:
        """Ask why a task is where it is."""
        path = f"/v1/tasks/{quote(task_id, safe='')}/explain"
        return await self._call("GET", path, Explanation)

    async def submit(self, task: NewTask) -> Submitted:
        """Submit a task."""
        return await self._call("POST", "/v1/tasks", Submitted, body=task)

    async def cancel(self, task_id: TaskId) -> Task:
        """Cancel a task."""
        path = f"/v1/tasks/{quote(task_id, safe='')}/cancel"
        return await self._call("POST", path, Task)

    async def plan(self, deed: Deed, key: str) -> Plan:
        """Ask what a dangerous deed would do."""
        method, path = _DEEDS[deed]
        where = f"{_path(path, key, None)}?dry_run=true"
        return await self._call(method, where, Plan)

    async def disconnect(self, agent_id: AgentId, *, plan: str | None = None) -> None:
        """Disconnect an agent."""
        await self._send(_DEEDS["disconnect"][1], agent_id, plan)

    async def drain_agent(self, agent_id: AgentId, *, on: bool) -> None:
        """Drain an agent, or end that."""
        what = "drain" if on else "resume"
        await self._ask("POST", f"/v1/agents/{quote(agent_id, safe='')}/{what}")

    async def drain(self, node_id: str, *, plan: str | None = None) -> None:
        """Drain a node."""
        await self._send(_DEEDS["drain"][1], node_id, plan)

    async def maintain(self, node_id: str, *, on: bool) -> None:
        """Begin or end maintenance."""
        path = f"/v1/nodes/{quote(node_id, safe='')}/maintenance"
        await self._ask("POST", path, body=Maintenance(on=on))

    async def remove(
        self, node_id: str, *, dry_run: bool, plan: str | None = None
    ) -> ClusterChange:
        """Strike a node off, or plan it."""
        path = _path("/v1/nodes/{}/remove", node_id, plan)
        query = "?dry_run=true" if dry_run else ""
        return await self._call("POST", path + query, ClusterChange)

    async def join_token(self) -> JoinToken:
        """Issue a join token."""
        body = NewJoinToken()
        return await self._call("POST", "/v1/cluster/join-tokens", JoinToken, body=body)

    async def alert(self, fingerprint: str) -> AlertDetail:
        """Fetch one alert."""
        return await self._call("GET", _alert(fingerprint), AlertDetail)

    async def acknowledge(self, fingerprint: str, ack: NewAck) -> Alert:
        """Acknowledge an alert."""
        return await self._call("POST", _alert(fingerprint, "ack"), Alert, body=ack)

    async def unacknowledge(self, fingerprint: str) -> Alert:
        """Take an acknowledgement back."""
        return await self._call("POST", _alert(fingerprint, "unack"), Alert)

    async def note(self, fingerprint: str, note: NewNote) -> Alert:
        """Add a note."""
        return await self._call("POST", _alert(fingerprint, "note"), Alert, body=note)

    async def dismiss(self, fingerprint: str) -> Alert:
        """Dismiss an alert."""
        return await self._call("POST", _alert(fingerprint, "dismiss"), Alert)

    async def preview(self, silence: NewSilence) -> SilencePreview:
        """Preview a silence."""
        path = "/v1/silences/preview"
        return await self._call("POST", path, SilencePreview, body=silence)

    async def silence(self, silence: NewSilence) -> Silence:
        """Create a silence."""
        return await self._call("POST", "/v1/silences", Silence, body=silence)

    async def handover(self, since_s: int) -> Handover:
        """Ask for the report."""
        path = f"/v1/alerts/handover?since_s={since_s}"
        return await self._call("GET", path, Handover)

    async def alert_history(self) -> Sequence[AlertChange]:
        """List what became of alerts."""
        return await self._page("/v1/alerts/history", AlertChange)

    async def silences(self) -> Sequence[Silence]:
        """List silences."""
        return await self._page("/v1/silences", Silence)

    async def expire(self, silence_id: str) -> None:
        """End a silence."""
        await self._ask("DELETE", f"/v1/silences/{quote(silence_id, safe='')}")

    async def rules(self) -> Sequence[Rule]:
        """List rules."""
        return await self._page("/v1/rules", Rule)

    async def audit(self) -> Sequence[AuditRecord]:
        """List what was done."""
        return await self._page("/v1/audit?limit=500", AuditRecord)

    async def verify_audit(self) -> AuditVerdict:
        """Verify the audit."""
        return await self._call("GET", "/v1/audit/verify", AuditVerdict)

    async def tokens(self) -> Sequence[TokenView]:
        """List tokens."""
        return await self._page(f"/v1/tokens?limit={PAGE_MAX}", TokenView)

    async def roles(self) -> Sequence[Role]:
        """List roles."""
        return await self._page(f"/v1/roles?limit={PAGE_MAX}", Role)

    async def namespaces(self) -> Sequence[NamespaceView]:
        """List namespaces."""
        return await self._page(f"/v1/namespaces?limit={PAGE_MAX}", NamespaceView)

    async def create_token(self, wanted: NewToken) -> TokenCreated:
        """Make a token."""
        return await self._call("POST", "/v1/tokens", TokenCreated, body=wanted)

    async def rotate_token(self, token_id: str, *, overlap_s: int) -> TokenCreated:
        """Rotate a token."""
        path = f"/v1/tokens/{quote(token_id, safe='')}/rotate"
        body = RotateToken(overlap_s=overlap_s)
        return await self._call("POST", path, TokenCreated, body=body)

    async def revoke_token(self, token_id: str, *, plan: str | None = None) -> None:
        """Revoke a token."""
        path = _path(_DEEDS["revoke_token"][1], token_id, plan)
        await self._ask("DELETE", path)

    async def logs(
        self, *, after: str | None, before: int | None = None, wait_s: float = 0.0
    ) -> Page[LogLine]:
        """Read logs."""
        asked: dict[str, object] = {"limit": PAGE_MAX, "wait_s": wait_s}
        if after is not None:
            asked["after"] = after
        if before is not None:
            asked["before"] = before
        return await self._call("GET", f"/v1/logs?{urlencode(asked)}", Page[LogLine])

    async def posted(
        self,
        topic: str,
        *,
        namespace: str,
        after: int = 0,
        last: int | None = None,
        wait_s: float = 0.0,
    ) -> Page[Posted]:
        """Read topics."""
        asked: dict[str, object] = {
            "topic": topic, "namespace": namespace, "after": after, "wait_s": wait_s,
        }  # fmt: skip
        if last is not None:
            asked["last"] = last
        return await self._call("GET", f"/v1/messages?{urlencode(asked)}", Page[Posted])

    async def topics(self, namespace: str) -> Sequence[Shelf]:
        """List topics."""
        return await self._page(f"/v1/topics?namespace={quote(namespace)}", Shelf)

    async def inboxes(self, namespace: str) -> Sequence[Shelf]:
        """List inboxes."""
        return await self._page(f"/v1/inboxes?namespace={quote(namespace)}", Shelf)

    async def peek(self, namespace: str, agent: str) -> Page[Posted]:
        """Look into an inbox."""
        path = f"/v1/inboxes/{quote(agent, safe='')}?namespace={quote(namespace)}"
        return await self._call("GET", path, Page[Posted])

    async def send(self, message: NewMessage) -> Sent:
        """Send a message."""
        return await self._call("POST", "/v1/messages", Sent, body=message)

    async def dead_letters(self) -> Sequence[TaskSummary]:
        """List dead letters."""
        return await self._page(f"/v1/dead-letters?limit={PAGE_MAX}", TaskSummary)

    async def redrive(self, wanted: Redrive) -> Redriven:
        """Redrive dead letters."""
        path = "/v1/dead-letters/redrive"
        return await self._call("POST", path, Redriven, body=wanted)

    async def purge(self, wanted: Redrive) -> Redriven:
        """Purge dead letters."""
        return await self._call("POST", "/v1/dead-letters/purge", Redriven, body=wanted)

    async def query_range(
        self, expression: str, *, start: float, end: float, step: float
    ) -> Sequence[Row]:
        """Ask in PromQL."""
        asked = {"query": expression, "start": start, "end": end, "step": step}
        path = f"/api/v1/query_range?{urlencode(asked)}"
        content = await self._ask("GET", path)
        try:
            return matrix(content)
        except msgspec.DecodeError as error:
            raise unreadable(self.target, str(error)) from error

    async def glance(self) -> Glance:
        """Ask for status, cluster and alerts."""
        status = await self._call("GET", "/v1/node", NodeStatus)
        cluster = await self._call("GET", "/v1/cluster", Cluster)
        alerts = await self._page("/v1/alerts?limit=500", Alert)
        return Glance(status, cluster, tuple(alerts))

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            http, self._http = self._http, None
            await http.aclose()

    async def _send(self, path: str, key: str, plan: str | None) -> None:
        await self._ask("POST", _path(path, key, plan))

    async def _page(self, path: str, kind: type[T]) -> Sequence[T]:
        page = await self._call("GET", path, Page[kind])
        return page.items

    async def _call(
        self, method: str, path: str, kind: type[T], *, body: Any = None
    ) -> T:
        content = await self._ask(method, path, body=body)
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise unreadable(self.target, str(error)) from error

    async def _ask(self, method: str, path: str, *, body: Any = None) -> bytes:
        import httpx

        if self._read_only or self.target.read_only:
            dry = path.endswith("?dry_run=true")
            check_call(method, path, dry_run=dry, source=self.target.source)
        http = await self._connection()
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            answer = await http.request(method, path, content=content, headers=headers)
        except (httpx.TransportError, OSError) as error:  # TLS's own pass httpx by
            raise self._unreachable(error) from error
        if answer.is_error:
            refused = refusal(answer.content) if path.startswith("/api/") else None
            raise refused or told(answer.status_code, answer.content, self.target)
        return answer.content

    async def _connection(self) -> "httpx.AsyncClient":
        async with self._opening:  # two calls at once share one
            if self._http is not None and self._made_for == self.target:
                return self._http
            await self.close()
            self._made_for = target = self.target
            self._http = await beside(lambda: _connect(target))
            return self._http

    def _unreachable(self, error: Exception) -> NexaError:
        trouble = trouble_in(error, self.target.url)
        if trouble is not None:
            return Unavailable(trouble.why, remedy=trouble.remedy)
        why = str(error) or type(error).__name__
        return Unavailable(
            f"no node answers at {self.target.url}: {why}",
            remedy="nexa node start" if self.target.pid else "nexa node status",
        )


def _path(path: str, key: str, plan: str | None) -> str:
    where = path.format(quote(key, safe=""))
    return where if plan is None else f"{where}?{urlencode({'plan': plan})}"


def _alert(fingerprint: str, verb: str = "") -> str:
    path = f"/v1/alerts/{quote(fingerprint, safe='')}"
    return f"{path}/{verb}" if verb else path


def _connect(target: Target) -> "httpx.AsyncClient":
    """Import and prepare httpx: 50 ms that would be seen as a key that hangs."""
    import httpx

    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    return httpx.AsyncClient(
        base_url=target.url,
        headers=headers,
        timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
        trust_env=False,
        verify=context_for(target.url, target.trust) or False,
    )
