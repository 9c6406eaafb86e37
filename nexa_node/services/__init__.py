"""Orchestration: asyncio over ports. Each service is one loop with a policy of its own."""
