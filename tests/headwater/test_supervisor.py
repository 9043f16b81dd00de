"""Owner tasks: whichever ends is told of, and all can be stopped."""

import asyncio

import pytest

from headwater.supervisor import OwnerEndedError, Supervisor


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_task_that_returns_is_a_failure() -> None:
    async def end() -> None:
        return

    supervisor = Supervisor()
    supervisor.start("short", end())
    await supervisor.wait_failed()
    assert isinstance(supervisor.failure, OwnerEndedError)
    assert "'short'" in str(supervisor.failure)


async def test_the_first_failure_is_kept() -> None:
    async def fail() -> None:
        raise ValueError("first")

    supervisor = Supervisor()
    supervisor.start("failing", fail())
    await supervisor.wait_failed()
    supervisor.fail(ValueError("second"))
    assert str(supervisor.failure) == "first"


async def test_what_is_stopped_is_no_failure() -> None:
    supervisor = Supervisor()
    supervisor.start("one", wait_for_ever())
    supervisor.start("two", wait_for_ever())
    await supervisor.stop("one")
    await supervisor.stop("never started")
    await supervisor.stop_all()
    assert supervisor.failure is None


async def test_a_task_that_hangs_while_it_tidies_up_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headwater.supervisor.TIDY_UP_S", 0.01)
    has_begun, tidies = asyncio.Event(), 0

    async def tidy() -> None:
        nonlocal tidies
        try:
            has_begun.set()
            await wait_for_ever()
        finally:
            tidies += 1
            await wait_for_ever()

    supervisor = Supervisor()
    supervisor.start("tidy", tidy())
    await has_begun.wait()
    await supervisor.stop_all()
    assert tidies == 1
