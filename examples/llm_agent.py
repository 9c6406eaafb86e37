"""An agent in front of a local LLM server that speaks OpenAI's chat API.

The task's data is a prompt, or `{"messages": […], "temperature": …}`. The answer is
streamed to whoever watches the task, and the tokens it took are recorded with it.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec

from nexa_node.agent import Agent, Failed, Job, Usage

PART_CHARACTERS = 40
"""Partial results are told in parts of about a line, not one message per token."""


class Llm:
    """One model of one server."""

    def __init__(self, url: str, model: str) -> None:
        """Nothing is asked yet."""
        self.model = model
        self._http = httpx.AsyncClient(
            base_url=url, timeout=httpx.Timeout(300, connect=5)
        )

    async def chat(self, request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Ask, and yield the chunks of the answer as they come.

        Raises:
            Failed: The server refuses (never again), or is not there (once more).
        """
        body = {
            **request,
            "model": self.model,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            async with self._http.stream(
                "POST", "chat/completions", json=body
            ) as answer:
                if answer.is_error:
                    told = (await answer.aread()).decode(errors="replace")[:500]
                    busy = answer.status_code in (408, 429) or answer.status_code >= 500
                    raise Failed(f"HTTP {answer.status_code}: {told}", retryable=busy)
                async for line in answer.aiter_lines():
                    data = line.removeprefix("data:").strip()
                    if line.startswith("data:") and data != "[DONE]":
                        yield msgspec.json.decode(data)
        except httpx.TransportError as error:
            raise Failed(f"the LLM server does not answer: {error!r}") from error


def make_agent(id: str, llm: Llm, *, slots: int) -> Agent:  # noqa: A002
    """An agent with the capability `chat`."""
    agent = Agent(id, slots=slots)

    @agent.task("chat", labels={"model": llm.model})
    async def chat(job: Job) -> str:
        answer, waiting = "", ""
        async for chunk in llm.chat(_request(job.data)):
            if chunk.get("usage"):
                job.usage = Usage(
                    model=llm.model,
                    input_tokens=chunk["usage"].get("prompt_tokens", 0),
                    output_tokens=chunk["usage"].get("completion_tokens", 0),
                )
            for choice in chunk.get("choices", ()):
                waiting += choice.get("delta", {}).get("content") or ""
            if len(waiting) >= PART_CHARACTERS:
                await job.progress(partial=waiting)
                answer, waiting = answer + waiting, ""
        if waiting:
            await job.progress(partial=waiting)
        return answer + waiting

    return agent


class Chat(msgspec.Struct, omit_defaults=True):
    """What a task may ask for besides a bare prompt."""

    messages: list[dict[str, Any]]
    temperature: float | None = None
    max_tokens: int | None = None


def _request(data: Any) -> dict[str, Any]:
    try:
        asked = msgspec.convert(data, str | Chat)
    except msgspec.ValidationError as error:
        told = f"the data is neither a prompt nor {{messages: […]}}: {error}"
        raise Failed(told, retryable=False) from error
    if isinstance(asked, str):
        asked = Chat(messages=[{"role": "user", "content": asked}])
    return msgspec.to_builtins(asked)


def main() -> None:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:11434/v1")
    parser.add_argument("--model", default="llama3.2")
    parser.add_argument("--id", default="llm-1")
    parser.add_argument("--slots", type=int, default=1)
    options = parser.parse_args()
    agent = make_agent(options.id, Llm(options.url, options.model), slots=options.slots)
    asyncio.run(agent.run())


if __name__ == "__main__":
    main()
