"""The limit of bytes in memory."""

import asyncio

from milvus_backup_server.service.memory import ByteBudget


async def granted(*tasks: asyncio.Task[int]) -> list[bool]:
    """Tell which claims have been granted by now."""
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


async def test_claims_wait_in_their_order() -> None:
    budget = ByteBudget(10)
    first, large, small = (asyncio.create_task(budget.acquire(size)) for size in (4, 8, 1))
    assert await granted(first, large, small) == [True, False, False]
    budget.release(await first)
    assert await granted(large, small) == [True, True]
    assert budget.used == 9


async def test_a_claim_above_the_limit_gets_it_alone() -> None:
    budget = ByteBudget(10)
    small, huge = (asyncio.create_task(budget.acquire(size)) for size in (1, 1000))
    assert await granted(small, huge) == [True, False]
    budget.release(await small)
    assert await huge == 10
    budget.release(10)
    assert budget.used == 0


async def test_cancelled_claims_leave_nothing_and_let_others_pass() -> None:
    budget = ByteBudget(10)
    held, large, small = (asyncio.create_task(budget.acquire(size)) for size in (6, 8, 2))
    assert await granted(held, large, small) == [True, False, False]
    large.cancel()
    assert await granted(small) == [True]
    budget.release(6)
    budget.release(2)
    assert budget.used == 0


async def test_a_claim_granted_in_the_moment_of_its_cancellation_is_given_back() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiting = asyncio.create_task(budget.acquire(10))
    assert await granted(waiting) == [False]
    budget.release(10)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert budget.used == 0
