"""Sinks: whatever fails, whoever else writes, the shard holds the view's history exactly once."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compute.maintained.sink as sink_module
import compute.maintained.sink_writer as writer_module
from core.ids import Timestamp
from persist.faults import FaultInjector, FaultRates
from persist.handles import finalize_shard
from persist.machine import Machine
from persist.shard_state import RegisterCritical
from tests.compute.sink_environment import (
    VIEW,
    Database,
    History,
    Random,
    Replica,
    check,
    error,
    row,
    until_durable,
)

RATES = FaultRates(
    lost_request=0.05, lost_answer=0.08, late_landing=0.08, conflict=0.05, delay_turns=3
)


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "RETRY_S", 0)
    monkeypatch.setattr(writer_module, "RETRY_S", 0)
    monkeypatch.setattr(writer_module, "ROUND_S", 0)
    monkeypatch.setattr(writer_module, "ROUND_PER_SINK_S", 0)


async def restarted(database: Database, history: History, faults: FaultInjector | None) -> Replica:
    """A new process, from where the shard is."""
    state = await database.state()
    as_of = Timestamp(max(10, state.upper - 1))
    replica = Replica(database, history, as_of, faults)
    replica.writer.allow_writes(True)
    return replica


async def test_a_view_is_written_followed_and_resumed() -> None:
    database, history = Database(), History()
    await database.create()
    changes = Random(history, 1)
    for _ in range(20):
        changes.change()
    replica = await restarted(database, history, None)
    for _ in range(20):
        replica.follow(1)
        await asyncio.sleep(0)
        changes.change()
    replica.follow()
    await until_durable(replica, history.upper)
    assert replica.reports
    await check(database, history)
    before = await database.state()
    await replica.kill()
    again = await restarted(database, history, None)
    again.follow()
    history.add([(row(1), 1)], [])
    again.follow()
    await until_durable(again, history.upper)
    await check(database, history)
    after = await database.state()
    assert sum(batch.batch.update_count for batch in after.batches) == 1 + sum(
        batch.batch.update_count for batch in before.batches
    )
    await again.kill()


async def test_an_upper_that_somebody_waits_for_moves_before_the_next_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer_module, "ROUND_S", 3600)
    database, history = Database(), History()
    await database.create()
    history.add([(row(1), 1)], [])
    replica = await restarted(database, history, None)
    replica.follow()
    await until_durable(replica, history.upper)
    reports = len(replica.reports)
    known, to_come = Timestamp(history.upper + 5), Timestamp(history.upper + 10)
    replica.reach(known)
    replica.writer.advance(frozenset({VIEW}), Timestamp(known - 1))
    await until_durable(replica, known)
    replica.writer.advance(frozenset({VIEW}), Timestamp(to_come - 1))
    replica.reach(to_come)
    await until_durable(replica, to_come)
    assert len(replica.reports) == reports + 2
    await replica.kill()


async def test_what_the_shard_holds_wrongly_is_corrected() -> None:
    database, history = Database(), History()
    await database.create()
    history.add([(row(1), 1), (row(2), 1)], [])
    replica = await restarted(database, history, None)
    replica.follow()
    await until_durable(replica, history.upper)
    await replica.kill()
    upper = history.upper
    other = History()  # as if an older release had computed something else
    other.add([(row(2), 1), (row(3), 2)], [(error(1), 1)])
    other.add([], [], gap=5)
    again = await restarted(database, other, None)
    again.follow()
    await until_durable(again, other.upper)
    state = await database.state()
    assert await database.contents(state, upper - 1) == history.contents(upper - 1)
    assert await database.contents(state, state.upper - 1) == other.contents(state.upper - 1)
    await again.kill()


async def test_a_replica_that_may_not_write_goes_on_where_the_other_ended() -> None:
    database, history = Database(), History()
    await database.create()
    changes = Random(history, 3)
    first, second = (
        Replica(database, history, Timestamp(10)),
        Replica(database, history, Timestamp(10)),
    )
    first.writer.allow_writes(True)
    for _ in range(30):
        changes.change()
        first.follow()
        second.follow()
    await until_durable(first, history.upper)
    assert second.sink.outstanding.count > 0
    second.written.advanced(history.upper)
    assert second.sink.outstanding.count == 0
    await first.kill()
    changes.change()
    second.follow()
    second.writer.allow_writes(True)
    await until_durable(second, history.upper)
    await check(database, history)
    await second.kill()


async def test_a_slow_store_holds_the_dataflow_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "MAX_WAITING", 10)
    database, history = Database(), History()
    await database.create()
    replica = Replica(database, history, Timestamp(10))
    replica.hydrate()
    for number in range(20):
        history.add([(row(number), 1)], [])
    replica.follow()
    room = asyncio.create_task(replica.sink.room())
    await asyncio.sleep(0)
    assert not room.done()
    replica.writer.allow_writes(True)
    await room
    assert replica.sink.outstanding.past_count <= 10
    await until_durable(replica, history.upper)
    await check(database, history)
    await replica.kill()


async def test_the_changes_of_one_time_are_never_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "MAX_WAITING", 10)
    database, history = Database(), History()
    await database.create()
    replica = await restarted(database, history, None)
    replica.hydrate()
    ts = history.upper
    for number in range(50):
        replica.sink.changes(ts, [(row(number), 1)], [])
        await asyncio.wait_for(replica.sink.room(), 30)
    history.add([(row(number), 1) for number in range(50)], [])
    replica.sink.frontier(history.upper)
    replica.upper = history.upper
    await until_durable(replica, history.upper)
    await check(database, history)
    await replica.kill()


async def test_large_output_goes_to_parts_in_several_appends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sink_module, "APPEND_LIMIT", 1_000)
    database, history = Database(), History()
    await database.create()
    history.add([(row(number), 1) for number in range(3_000)], [])
    replica = Replica(database, history, Timestamp(11))
    replica.hydrate()
    for _ in range(20):
        history.add([(row(number), 1) for number in range(400)], [])
    replica.follow()
    replica.writer.allow_writes(True)
    await until_durable(replica, history.upper)
    state = await database.state()
    assert len(state.batches) > 5
    assert {key for batch in state.batches for key in batch.batch.keys} == set(
        await database.blob.list("")
    )
    await check(database, history)
    await replica.kill()


async def test_a_dropped_shard_stays_dropped() -> None:
    database, history = Database(), History()
    replica = Replica(database, history, Timestamp(10))
    replica.writer.allow_writes(True)
    replica.follow()
    for _ in range(50):
        await asyncio.sleep(0)
    assert await database.consensus.list_shards() == []  # a replica creates no shard
    await database.create()
    history.add([(row(1), 1)], [])
    replica.follow()
    await until_durable(replica, history.upper)
    await finalize_shard(database.location(), VIEW)
    for number in range(5):
        history.add([(row(number), 1)], [])
        replica.follow()
        for _ in range(50):
            await asyncio.sleep(0)
    assert await database.consensus.list_shards() == []
    assert await database.blob.list("") == []
    assert replica.sink.outstanding.count == 0
    await replica.kill()


async def test_a_fenced_replica_stops() -> None:
    database, history = Database(), History()
    await database.create()
    replica = await restarted(database, history, None)
    replica.follow()
    await until_durable(replica, history.upper)
    database.take_over()
    history.add([(row(1), 1)], [])
    replica.follow()
    await replica.task
    assert (await database.state()).upper < history.upper
    replica.sink.close()


async def test_many_sinks_share_statements() -> None:
    database, history = Database(), History()
    first = Replica(database, history, Timestamp(10))
    await database.create()
    first.writer.allow_writes(True)
    replicas = [first]
    for number in range(9):
        shard = type(VIEW)(f"s-{number}")
        await database.create(shard)
        replica = Replica(database, history, Timestamp(10), shard=shard)
        replica.task.cancel()
        replica.writer.remove(replica.sink)
        first.writer.add(replica.sink)
        replica.sink._owner = first.writer  # noqa: SLF001
        replicas.append(replica)
    for replica in replicas:
        replica.follow()
    for replica in replicas:
        await until_durable(replica, history.upper)
    history.add([(row(1), 1)], [])
    for replica in replicas:
        replica.follow()
    for replica in replicas:
        await until_durable(replica, history.upper)
        await check(database, history, replica.shard)
    for replica in reversed(replicas):
        await replica.kill()


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["change", "follow", "turns", "kill", "toggle", "hint", "all", "disturb", "compact"]
        ),
        st.integers(0, 1),
        st.integers(1, 12),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(0, 2**32))
def test_two_replicas_write_every_change_once(
    schedule: list[tuple[str, int, int]], seed: int
) -> None:
    asyncio.run(simulate(schedule, seed, None))


@settings(max_examples=100, deadline=None)
@given(steps, st.integers(0, 2**32))
def test_two_replicas_on_a_failing_store(schedule: list[tuple[str, int, int]], seed: int) -> None:
    asyncio.run(simulate(schedule, seed, lambda: FaultInjector(RATES, seed)))


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=5_000, deadline=None)
@given(steps, st.integers(0, 2**32), st.booleans())
def test_two_replicas_long(
    schedule: list[tuple[str, int, int]], seed: int, is_failing: bool
) -> None:
    asyncio.run(
        simulate(schedule, seed, (lambda: FaultInjector(RATES, seed)) if is_failing else None)
    )


async def simulate(
    schedule: list[tuple[str, int, int]],
    seed: int,
    make_faults: Callable[[], FaultInjector] | None,
) -> None:
    database, history = Database(), History()
    await database.create()
    changes = Random(history, seed)
    faults = make_faults() if make_faults is not None else None
    replicas = [await restarted(database, history, faults) for _ in range(2)]
    for step, which, count in schedule:
        replica = replicas[which]
        match step:
            case "change":
                for _ in range(count):
                    changes.change()
            case "follow":
                replica.follow(count)
            case "all":
                replica.follow()
            case "turns":
                for _ in range(count):
                    await asyncio.sleep(0)
            case "kill":
                await replica.kill()
                replicas[which] = await restarted(database, history, faults)
            case "toggle":
                replica.writer.allow_writes(not replica.sink.may_write)
            case "disturb":
                await Machine(VIEW, database.consensus).apply(RegisterCritical(str(count), 1))
            case "compact":
                await database.compact(Timestamp(max((await database.state()).upper - 1, 0)))
            case "hint":
                replica.written.advanced((await database.state()).upper)
    if faults is not None:
        await faults.drain()
    await check(database, history)
    await replicas[1].kill()
    replicas[0].writer.allow_writes(True)
    changes.change()
    replicas[0].follow()
    await until_durable(replicas[0], history.upper)
    await check(database, history)
    await replicas[0].kill()


async def test_a_replica_that_begins_after_the_shards_upper_appends_the_difference() -> None:
    database, history = Database(), History()
    await database.create()
    history.add([(row(1), 1), (row(2), 1)], [])
    replica = await restarted(database, history, None)
    replica.follow()
    await until_durable(replica, history.upper)
    await replica.kill()
    history.add([(row(2), -1), (row(3), 1)], [], gap=5)
    late = Replica(database, history, Timestamp(history.upper + 3))
    history.add([(row(4), 1)], [], gap=20)
    late.written.advanced((await database.state()).upper)
    late.follow()
    late.writer.allow_writes(True)
    await until_durable(late, history.upper)
    state = await database.state()
    for ts in (late.as_of, state.upper - 1):
        assert await database.contents(state, ts) == history.contents(ts)
    assert sum(batch.batch.update_count for batch in state.batches) == 5
    await late.kill()


@pytest.mark.parametrize("is_large", [False, True])
async def test_a_writer_may_end_between_any_two_steps(
    is_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_each = 700 if is_large else 3  # more than stand inline, or are encoded at once
    turns, is_through = 0, False
    while not is_through:
        database, history = Database(), History()
        await database.create()
        history.add([(row(number), 1) for number in range(rows_each)], [(error(1), 1)])
        first = await restarted(database, history, None)
        first.follow()
        for number in range(3):
            history.add([(row(number), -1), (row(number + 1_000), 1)], [])
            first.follow()
        history.add([(row(number + 2_000), 1) for number in range(rows_each)], [(error(1), -1)])
        first.follow()
        for _ in range(turns):
            await asyncio.sleep(0)
        is_through = first.written.upper == history.upper
        await first.kill()
        await check(database, history)
        second = await restarted(database, history, None)
        second.follow()
        await until_durable(second, history.upper)
        await check(database, history)
        held = sum(batch.batch.update_count for batch in (await database.state()).batches)
        assert held == 2 * rows_each + 8  # each change once: nothing was corrected afterwards
        await second.kill()
        turns += 1
    assert turns > 3
