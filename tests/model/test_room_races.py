"""An agent's room while the store is slow, or its answers are lost.

Found by `test_credits_model.py`. A claim takes room, slots and credits alike, from the
moment its agent is chosen until it is known that nothing was stored.
"""

import asyncio

from nexa_node.contract.tasks import Task
from tests.fakes import settle
from tests.rig import Rig


async def test_claims_whose_storing_was_not_answered_keep_their_slot() -> None:
    async with Rig() as rig:
        agent = await rig.agent(slots=1)
        await rig.submit()
        await settle()
        first = await agent.accept()
        for _ in range(5):
            await rig.submit()
        rig.store.lose_answers = True
        await agent.complete(first)
        await rig.clock.advance(0.4)
        rig.store.lose_answers = False
        await rig.clock.advance(1)

        assert len(agent.assigned()) == 2


async def test_one_credit_is_one_task_also_while_its_claim_is_being_stored() -> None:
    async with Rig() as rig:
        stored = asyncio.Event()
        update = rig.store.tasks.update

        async def slowly(task: Task, *, revision: int) -> int:
            await stored.wait()
            return await update(task, revision=revision)

        rig.store.tasks.update = slowly
        agent = await rig.agent(slots=4)
        await agent.notify("flow.credit", scope="tasks", n=1)
        for _ in range(6):
            await rig.submit()
        await settle()
        stored.set()
        await rig.clock.advance(0.3)

        assert len(agent.assigned()) == 1
