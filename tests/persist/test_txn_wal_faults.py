"""The txn-wal on a store that loses requests and answers, delays, conflicts and lands writes late,
with processes taking over from each other: what was acknowledged is there once, what was refused is
absent, and every read at a time sees exactly the commits through it."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
import pytest

from core.errors import DeterminateError, FencedError, IndeterminateError
from core.ids import MIN_TIMESTAMP, Timestamp
from persist.faults import FaultInjector, FaultRates
from persist.location import PersistLocation
from persist.snapshot import SinceError
from persist.txn_reader import TxnsReader
from persist.txn_wal import TxnsWriter
from persist.txns_state import CommitRecord, TxnsPush
from tests.consistency.planted_bugs import BlindlyRetryingWriter
from tests.persist.txns_environment import (
    OTHER,
    TABLE,
    TXNS,
    MemoryEnvironment,
    Process,
    applying,
    contents,
    postgres_process,
    write,
)

RATES = FaultRates(
    lost_request=0.05, lost_answer=0.08, late_landing=0.04, conflict=0.04, delay_turns=4
)
COMMITS_PER_PROCESS = 60
PROCESSES = 3
SINCE_LAG_US = 5_000


@pytest.fixture(autouse=True)
def apply_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persist.txn_apply.APPLY_INTERVAL_S", 0.001)
    monkeypatch.setattr("persist.batches.INLINE_LIMIT_BYTES", 200)


@dataclass
class History:
    """What clients were told, by unique value."""

    acknowledged: dict[str, Timestamp] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)


async def run_process(process: Process, history: History, generation: int) -> None:
    """Commit until done or fenced, each commit to two tables, compacting closely behind."""
    writer = process.writer
    writer.set_since_provider(lambda shard: Timestamp(writer.upper - SINCE_LAG_US))
    async with applying(writer) as background:
        for number in range(COMMITS_PER_PROCESS):
            value = f"{generation}-{number}"
            try:
                ts = await writer.commit(
                    [write(TABLE, value), write(OTHER, value)], register=[TABLE, OTHER]
                )
                history.acknowledged[value] = ts
            except DeterminateError:
                history.refused.add(value)
            except (IndeterminateError, FencedError):
                history.unknown.add(value)
                return
            if background.done():
                return


async def take_over(environment: MemoryEnvironment) -> Process:
    while True:
        try:
            return await environment.take_over()
        except DeterminateError:
            continue


async def run_history(
    seed: int, writer: type[TxnsWriter] = TxnsWriter
) -> tuple[History, TxnsReader, FaultInjector]:
    chooser = random.Random(seed)
    faults = FaultInjector(RATES, seed)
    environment = MemoryEnvironment(faults, writer=writer)
    history = History()
    running: list[asyncio.Task[None]] = []
    for generation in range(PROCESSES):
        process = await take_over(environment)
        running.append(asyncio.create_task(run_process(process, history, generation)))
        for _ in range(chooser.randrange(3_000)):
            await asyncio.sleep(0)
    await asyncio.gather(*running)
    last = await take_over(environment)
    await faults.drain()
    faults.rates = FaultRates()
    return history, await TxnsReader.open(last.location, TXNS), faults


async def check_history(history: History, reader: TxnsReader) -> None:
    newest = await contents(reader, TABLE, reader.upper - 1)
    assert newest == await contents(reader, OTHER, reader.upper - 1), "a commit landed half"
    assert set(newest.values()) <= {1}, f"landed twice: {newest}"
    assert history.acknowledged.keys() <= newest.keys(), "an acknowledged write was lost"
    assert not history.refused & newest.keys(), "a refused write landed"
    assert newest.keys() <= history.acknowledged.keys() | history.unknown
    times = sorted(history.acknowledged.values())
    for ts in times[:: max(1, len(times) // 10)]:
        try:
            seen = await contents(reader, TABLE, ts)
        except SinceError:
            continue
        expected = {value for value, at in history.acknowledged.items() if at <= ts}
        assert expected <= seen.keys() <= expected | history.unknown


@pytest.mark.parametrize("seed", range(12))
async def test_faults_lose_and_double_nothing(seed: int) -> None:
    print("seed", seed)
    history, reader, faults = await run_history(seed)
    assert faults.injected_count > 5
    await check_history(history, reader)


async def test_cut_connections_lose_and_double_nothing(
    location: PersistLocation, fresh_database_url: str
) -> None:
    """The same on a real PostgreSQL whose backends are killed all the time."""
    history = History()
    is_done = False

    async def cut() -> int:
        cuts = 0
        connection = await asyncpg.connect(fresh_database_url)
        while not is_done:
            await connection.execute("SELECT pg_sleep(0.02)")  # leave time to connect again
            cuts += await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'headwater' AND datname = current_database()"
                " AND random() < 0.5"
            )
        await connection.close()
        return cuts

    async with postgres_process(location) as process, applying(process.writer) as background:
        cutter = asyncio.create_task(cut())
        for number in range(150):
            value = str(number)
            history.acknowledged[value] = await process.writer.commit(
                [write(TABLE, value), write(OTHER, value)], register=[TABLE, OTHER]
            )
        is_done = True
        assert await cutter > 3
        await process.writer.wait_applied(history.acknowledged["149"])
        assert not background.done()
        reader = await TxnsReader.open(location, TXNS)
        await check_history(history, reader)


async def test_the_check_catches_a_blind_retry() -> None:
    caught = 0
    for seed in range(4):
        history, reader, _ = await run_history(seed, BlindlyRetryingWriter)
        try:
            await check_history(history, reader)
        except AssertionError:
            caught += 1
    assert caught > 0


@pytest.mark.parametrize("seed", range(4))
async def test_readers_follow_through_lost_and_disordered_pushes(seed: int) -> None:
    chooser = random.Random(seed)
    process = await MemoryEnvironment().take_over()
    reader = await TxnsReader.open(process.location, TXNS)
    values: Counter[bytes] = Counter()
    times: list[Timestamp] = [MIN_TIMESTAMP]
    delayed: list[TxnsPush] = []

    def push(pushed: TxnsPush, record: CommitRecord) -> None:
        delayed.append(pushed)
        chooser.shuffle(delayed)
        while delayed and chooser.random() < 0.6:
            item = delayed.pop()
            if chooser.random() < 0.8:
                reader.apply_push(item)

    def learn(record: CommitRecord) -> None:
        assert record.ts > times[-1]
        times.append(record.ts)
        values.update(w.batch.parts[0].inline or b"" for w in record.writes)

    process.writer.add_listener(push)
    reader.add_listener(learn)
    for number in range(200):
        ts = await process.writer.commit([write(TABLE, number)], register=[TABLE])
    await reader.wait_past(ts)
    assert len(values) == 200
    assert set(values.values()) == {1}
    await reader.close()
