"""A batch in the making that is given up leaves no blob, whatever was on its way."""

import asyncio

import pytest

from core.errors import DeterminateError
from persist.batches import BatchBuilder
from persist.memory import MemoryBlob

PREFIX = "s-table/0000000001/"
TURNS = 10


class SlowBlob(MemoryBlob):
    """Values land when `gate` opens, as on a store that carries out what it was sent even when
    nobody waits for its answer any more."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.sent = asyncio.Event()
        self.fails = False

    async def set(self, key: str, value: bytes) -> None:
        self.sent.set()
        await asyncio.shield(asyncio.ensure_future(self._land(key, value)))

    async def _land(self, key: str, value: bytes) -> None:
        await self.gate.wait()
        if self.fails:
            raise DeterminateError("no space left")
        await super().set(key, value)


async def started() -> tuple[SlowBlob, BatchBuilder]:
    """A builder whose first part is on its way."""
    blob = SlowBlob()
    builder = BatchBuilder(blob, PREFIX, inline_limit_bytes=0, part_limit_bytes=1)
    builder.add(b"row", 1)
    await builder.flush_full()
    await blob.sent.wait()
    return blob, builder


async def give_up(blob: SlowBlob, builder: BatchBuilder) -> None:
    abort = asyncio.create_task(builder.abort())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert not abort.done(), "did not wait for what is on its way"
    blob.gate.set()
    await abort


async def test_giving_up_waits_for_what_is_on_its_way() -> None:
    blob, builder = await started()
    await give_up(blob, builder)
    assert await blob.list("") == []


async def test_giving_up_after_an_interrupted_finish() -> None:
    blob, builder = await started()
    finish = asyncio.create_task(builder.finish())
    await asyncio.sleep(0)
    finish.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finish
    await give_up(blob, builder)
    assert await blob.list("") == []


async def test_a_part_that_fails_is_told_by_finish_and_not_by_abort() -> None:
    blob, builder = await started()
    blob.fails = True
    blob.gate.set()
    with pytest.raises(DeterminateError):
        await builder.finish()
    await builder.abort()
    assert await blob.list("") == []
