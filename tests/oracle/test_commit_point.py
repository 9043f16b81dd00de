"""The commit point: the txns shard and the oracle move together or not at all."""

import asyncio
import contextlib

import pytest

from core.errors import FencedError
from core.ids import ShardId, Timestamp
from oracle.oracle import TimestampOracle
from persist.commit_point import CommitPoint, CommitProposal, CommitRejected, Committed
from persist.consensus import Consensus, VersionedData
from tests.oracle.conftest import START, ManualClock, OracleStore

TXNS = ShardId("s-txns")


class Opened:
    """One process' handles."""

    def __init__(
        self, oracle: TimestampOracle, consensus: Consensus, commit_point: CommitPoint
    ) -> None:
        self.oracle = oracle
        self.consensus = consensus
        self.commit_point = commit_point

    async def commit(self, seqno: int, ts: int, data: bytes, *, is_catalog_change: bool = False):
        expected = seqno - 1 if seqno > 1 else None
        return await self.commit_point.commit(
            CommitProposal(TXNS, expected, seqno, Timestamp(ts), data, is_catalog_change)
        )

    async def standing(self) -> tuple[VersionedData | None, int, int, int]:
        answer = await self.oracle.read_ts()
        head = await self.consensus.head(TXNS)
        return head, answer.read_ts, await self.oracle.peek_write_ts(), answer.catalog_ts


async def open_process(store: OracleStore, clock: ManualClock) -> Opened:
    fence = await store.take()
    oracle = await store.oracle(fence, clock)
    await oracle.apply_write(Timestamp(START))
    return Opened(oracle, store.consensus(fence), store.commit_point(fence, oracle))


@pytest.fixture
async def process(store: OracleStore, clock: ManualClock) -> Opened:
    return await open_process(store, clock)


async def test_a_commit_moves_everything(process: Opened) -> None:
    assert await process.commit(1, START + 1, b"a") == Committed()
    assert await process.standing() == (VersionedData(1, b"a"), START + 1, START + 1, 0)
    assert await process.commit(2, START + 5, b"b", is_catalog_change=True) == Committed()
    assert await process.commit(3, START + 6, b"c") == Committed()
    expected = (VersionedData(3, b"c"), START + 6, START + 6, START + 5)
    assert await process.standing() == expected
    assert await process.commit_point.write_ts() == START + 6


async def test_a_time_already_handed_out_is_refused_whole(process: Opened) -> None:
    await process.commit(1, START + 1, b"a")
    taken = (await process.oracle.write_ts()).timestamp
    before = await process.standing()
    assert await process.commit(2, taken, b"b") == CommitRejected(1, taken)
    assert await process.standing() == before
    assert await process.commit(2, taken + 1, b"b") == Committed()


async def test_a_stale_head_is_refused_whole(process: Opened) -> None:
    await process.commit(1, START + 1, b"a")
    await process.commit(2, START + 2, b"b")
    before = await process.standing()
    assert await process.commit(2, START + 9, b"x") == CommitRejected(2, Timestamp(START + 2))
    assert await process.commit(1, START + 9, b"x") == CommitRejected(2, Timestamp(START + 2))
    assert await process.commit(9, START + 9, b"x") == CommitRejected(2, Timestamp(START + 2))
    assert await process.standing() == before


async def test_repeating_a_commit_finds_it(process: Opened) -> None:
    assert await process.commit(1, START + 1, b"nonce-1") == Committed()
    assert await process.commit(1, START + 1, b"nonce-1") == Committed()
    assert await process.commit(2, START + 2, b"nonce-2") == Committed()
    assert await process.commit(1, START + 1, b"nonce-1") == Committed()
    head, read_ts, write_ts, _ = await process.standing()
    assert (head, read_ts, write_ts) == (VersionedData(2, b"nonce-2"), START + 2, START + 2)


async def test_a_fenced_process_commits_nothing(
    process: Opened, store: OracleStore, clock: ManualClock
) -> None:
    await process.commit(1, START + 1, b"a")
    successor = await open_process(store, clock)
    before = await successor.standing()
    with pytest.raises(FencedError):
        await process.commit(2, START + 2, b"late")
    assert await successor.standing() == before
    with contextlib.suppress(FencedError):  # in three steps it cannot tell any more
        assert await process.commit(1, START + 1, b"a") == Committed()
    assert await successor.commit(2, START + 2, b"b") == Committed()


async def test_one_of_many_racing_commits_wins(process: Opened) -> None:
    await process.commit(1, START + 1, b"")
    for seqno in range(2, 10):
        outcomes = await asyncio.gather(
            *(
                process.commit(seqno, START + 10 * seqno + racer, f"{seqno}-{racer}".encode())
                for racer in range(4)
            )
        )
        winners = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Committed)]
        head, read_ts, write_ts, _ = await process.standing()
        assert len(winners) == 1
        assert head == VersionedData(seqno, f"{seqno}-{winners[0]}".encode())
        assert read_ts == write_ts == START + 10 * seqno + winners[0]


async def test_reads_never_see_half_a_commit(process: Opened) -> None:
    """Whoever reads the oracle and then the log finds every commit through its read_ts."""
    is_done = False

    async def write() -> None:
        nonlocal is_done
        for seqno in range(1, 30):
            await process.commit(seqno, START + seqno, str(START + seqno).encode())
        is_done = True

    async def read() -> None:
        while not is_done:
            read_ts = (await process.oracle.read_ts()).read_ts
            head = await process.consensus.head(TXNS)
            assert read_ts == START if head is None else int(head.data) >= read_ts

    await asyncio.gather(write(), read(), read())
