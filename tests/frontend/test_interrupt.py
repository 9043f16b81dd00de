"""Interrupting statements: in time, too late, and while a commit must not be disturbed."""

import asyncio

import pytest

from core.errors import SqlError
from frontend.interrupt import Interrupter, InterruptReason


def bound() -> Interrupter:
    interrupter = Interrupter()
    interrupter.bind(asyncio.current_task())
    return interrupter


async def test_a_waiting_statement_is_cancelled() -> None:
    interrupter = bound()

    async def statement() -> None:
        asyncio.get_running_loop().call_soon(interrupter.request)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(SqlError) as caught:
        await interrupter.guard(statement(), 0)
    assert caught.value.sqlstate == "57014"
    assert caught.value.message == "canceling statement due to user request"
    await asyncio.sleep(0)  # the task itself is not cancelled


async def test_timeout() -> None:
    interrupter = bound()

    async def statement() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(SqlError) as caught:
        await interrupter.guard(statement(), 1)
    assert caught.value.message == InterruptReason.TIMEOUT.value


async def test_a_request_that_comes_too_late_does_not_hit_the_next_statement() -> None:
    interrupter = bound()

    async def statement() -> int:
        interrupter.request()
        return 1

    assert await interrupter.guard(statement(), 0) == 1
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_late_request_does_not_hide_an_error() -> None:
    interrupter = bound()

    async def statement() -> None:
        interrupter.request()
        raise SqlError("22012", "division by zero")

    with pytest.raises(SqlError) as caught:
        await interrupter.guard(statement(), 0)
    assert caught.value.sqlstate == "22012"
    await asyncio.sleep(0)


async def test_without_a_statement_a_request_does_nothing() -> None:
    interrupter = bound()
    interrupter.request()
    await asyncio.sleep(0)


async def test_shielded_work_is_not_interrupted() -> None:
    interrupter = bound()

    async def statement() -> str:
        with interrupter.shielded():
            asyncio.get_running_loop().call_soon(interrupter.request)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return "committed"

    assert await interrupter.guard(statement(), 0) == "committed"


async def test_the_end_of_the_task_waits_for_the_shield() -> None:
    steps: list[str] = []

    async def serve() -> None:
        interrupter = bound()

        async def statement() -> None:
            with interrupter.shielded():
                interrupter.end_task()
                await asyncio.sleep(0)
                steps.append("committed")
            await asyncio.get_running_loop().create_future()

        await interrupter.guard(statement(), 0)

    task = asyncio.create_task(serve())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["committed"]
