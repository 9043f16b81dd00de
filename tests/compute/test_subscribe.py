"""The replica's end of subscriptions: forms, order, credit, bounds, errors."""

import asyncio
from random import Random

import pytest

from compute.dataflow.updates import Updates
from compute.dataflow_messages import (
    SUBSCRIBE_WINDOW_BYTES,
    CollectionKind,
    CollectionSource,
    DataflowDescription,
    SubscribeBatch,
    SubscribeEnvelope,
    SubscribeExport,
)
from compute.maintained import subscribe
from compute.maintained.subscribe import SubscribeSink, needs_contents
from compute.maintained.subscriptions import Subscriptions
from compute.output_format import OutputFormat, OutputKind
from compute.scheduler import Scheduler
from core.errors import DIVISION_BY_ZERO, SqlError
from core.ids import MAX_TIMESTAMP, GlobalId, ShardId, Timestamp
from core.sql_types import BOOL, INT4, INT8, NUMERIC, TEXT, SqlType
from expr.relation import (
    Aggregate,
    ColumnOrder,
    Constant,
    Get,
    Project,
    Reduce,
    Relation,
)

AS_OF = 10
UNLIMITED = 1 << 40


class Subscriber:
    """A subscription of rows (k int, v text) and what it was sent, as COPY's text."""

    def __init__(
        self,
        envelope: SubscribeEnvelope = SubscribeEnvelope.DIFFS,
        *,
        key: tuple[int, ...] = (),
        order_by: tuple[ColumnOrder, ...] = (),
        with_snapshot: bool = True,
        with_progress: bool = False,
        until: int = MAX_TIMESTAMP,
        max_waiting_bytes: int = UNLIMITED,
        max_moment_bytes: int = UNLIMITED,
    ) -> None:
        shown: tuple[SqlType, ...] = (INT8, INT4, TEXT)
        if envelope is SubscribeEnvelope.UPSERT:
            shown = (TEXT, INT4, TEXT)
        elif envelope is SubscribeEnvelope.DEBEZIUM:
            shown = (TEXT, INT4, TEXT, TEXT)
        types = (NUMERIC, *((BOOL,) if with_progress else ()), *shown)
        export = SubscribeExport(
            OutputFormat(types, OutputKind.COPY_TEXT),
            max_waiting_bytes,
            max_moment_bytes,
            with_snapshot,
            with_progress,
            envelope,
            key,
            order_by,
        )
        self.batches: list[SubscribeBatch] = []
        self.has_error = asyncio.Event()
        self.subscriptions = Subscriptions(self._receive)
        self.scheduler = Scheduler()
        self.upper = Timestamp(AS_OF)
        relation = Constant((), (INT4, TEXT))
        self.sink = SubscribeSink(
            DataflowDescription(
                GlobalId("t1"), relation, (), Timestamp(AS_OF), export, Timestamp(until)
            ),
            self.subscriptions,
            self.scheduler,
        )
        self.sink.start(Timestamp(AS_OF), self)

    def _receive(self, batch: SubscribeBatch) -> None:
        self.batches.append(batch)
        if batch.error is not None:
            self.has_error.set()

    def change(self, ts: int, *updates: tuple[int | None, str | None, int]) -> None:
        """Changes at `ts`, and the end of that time."""
        self.sink.changes(Timestamp(ts), [((k, v), diff) for k, v, diff in updates], [])
        self.sink.frontier(Timestamp(ts + 1))

    async def settle(self) -> None:
        """Until what can be sent was sent."""
        for _ in range(2):
            await self.scheduler.turn()

    async def lines(self) -> list[str]:
        """All rows sent so far."""
        await self.settle()
        found = []
        for batch in self.batches:
            for rows in batch.rows:
                data, lines = rows.data, []
                while data:
                    length = int.from_bytes(data[1:5], "big")
                    lines.append(data[5 : 1 + length].decode().rstrip("\n").replace("\t", " "))
                    data = data[1 + length :]
                assert len(lines) == rows.row_count
                found += lines
        return found


async def test_differences_are_consolidated_and_in_a_fixed_order() -> None:
    updates: Updates = [((k, f"v{k}"), 1) for k in range(50)]
    updates += [((3, "v3"), -1), ((4, "v4"), 2), ((None, None), -1)]
    seen = []
    for seed in range(3):
        Random(seed).shuffle(updates)
        subscriber = Subscriber()
        subscriber.sink.changes(Timestamp(11), updates[:20], [])
        subscriber.sink.changes(Timestamp(11), updates[20:], [])
        subscriber.sink.frontier(Timestamp(12))
        seen.append(await subscriber.lines())
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 50
    assert {"11 3 4 v4", "11 -1 \\N \\N", "11 1 7 v7"} <= set(seen[0])


async def test_within_timestamp_order() -> None:
    subscriber = Subscriber(order_by=(ColumnOrder(1, descending=True), ColumnOrder(0)))
    subscriber.change(11, (1, "a", 1), (3, "x", 1), (2, "b", 1), (3, "y", -1))
    assert await subscriber.lines() == ["11 -1 3 y", "11 1 3 x", "11 1 2 b", "11 1 1 a"]


async def test_without_a_snapshot_what_is_there_already_is_left_out() -> None:
    subscriber = Subscriber(with_snapshot=False, with_progress=True)
    subscriber.change(AS_OF, (1, "a", 1))
    subscriber.change(AS_OF + 1, (2, "b", 1))
    assert await subscriber.lines() == ["11 f 1 2 b"]
    assert subscriber.batches[-1].upper == AS_OF + 2


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        (
            SubscribeEnvelope.UPSERT,
            [
                *("11 upsert 1 a", "11 upsert 2 b"),
                *("12 upsert 1 c", "12 delete 2 \\N", "12 key_violation 3 \\N"),
                "13 key_violation 1 \\N",
            ],
        ),
        (
            SubscribeEnvelope.DEBEZIUM,
            [
                *("11 insert 1 \\N a", "11 insert 2 \\N b"),
                *("12 update 1 a c", "12 delete 2 b \\N", "12 key_violation 3 \\N \\N"),
                "13 key_violation 1 \\N \\N",
            ],
        ),
    ],
)
async def test_envelopes(envelope: SubscribeEnvelope, expected: list[str]) -> None:
    subscriber = Subscriber(envelope, key=(0,))
    subscriber.change(11, (2, "b", 1), (1, "a", 1))
    subscriber.change(12, (1, "c", 1), (3, "x", 1), (1, "a", -1), (2, "b", -1), (3, "y", 1))
    subscriber.change(13, (1, "c", 2))
    assert await subscriber.lines() == expected


async def test_keys_across_the_bounds_of_steps() -> None:
    subscriber = Subscriber(SubscribeEnvelope.DEBEZIUM, key=(0,))
    count = 5000
    subscriber.change(AS_OF, *((k, "old", 1) for k in range(count)))
    changes = [(k, "old", -1) for k in range(count)] + [(k, "new", 1) for k in range(count)]
    subscriber.change(11, *changes)
    lines: list[str] = []
    while len(lines) < 2 * count:
        lines = await subscriber.lines()
        subscriber.sink.add_credit(SUBSCRIBE_WINDOW_BYTES)
    assert lines[count:] == [f"11 update {k} old new" for k in range(count)]


async def test_no_more_than_a_window_is_under_way() -> None:
    subscriber = Subscriber()
    value = "x" * 10_000
    for ts in range(11, 211):
        subscriber.change(ts, (ts, value, 1))
    sent = sum(len(line) for line in await subscriber.lines())
    assert SUBSCRIBE_WINDOW_BYTES <= sent <= SUBSCRIBE_WINDOW_BYTES + 2 * len(value)
    upper = subscriber.batches[-1].upper
    assert upper <= 211
    subscriber.sink.add_credit(sent)
    more = sum(len(line) for line in await subscriber.lines())
    assert more >= 1.9 * SUBSCRIBE_WINDOW_BYTES
    assert subscriber.batches[-1].upper > upper


async def test_a_slow_subscriber_is_told_and_forgotten() -> None:
    subscriber = Subscriber(max_waiting_bytes=1_000_000)
    for ts in range(11, 400):
        subscriber.change(ts, (ts, "x" * 10_000, 1))
    await subscriber.settle()
    error = subscriber.batches[-1].error
    assert error is not None
    assert error.sqlstate == "53400"
    assert subscriber.sink.row_count == 0
    assert subscriber.sink.size_bytes == 0
    subscriber.change(1000, (1, "x", 1))
    await subscriber.settle()
    assert subscriber.batches[-1].error is error


async def test_a_large_change_alone_is_not_slowness() -> None:
    subscriber = Subscriber(max_waiting_bytes=1000)
    subscriber.change(11, *((k, "x" * 100, 1) for k in range(1000)))
    assert len(await subscriber.lines()) == 1000


async def test_the_changes_at_one_time_are_bounded() -> None:
    subscriber = Subscriber(max_moment_bytes=100_000)
    for _ in range(100):  # what cancels does not count
        subscriber.sink.changes(Timestamp(11), [((1, "x" * 5000), 1), ((1, "x" * 5000), -1)], [])
    subscriber.change(11, (2, "y", 1))
    assert await subscriber.lines() == ["11 1 2 y"]
    subscriber.change(12, *((k, "x" * 1000, 1) for k in range(100)))
    await subscriber.settle()
    error = subscriber.batches[-1].error
    assert error is not None
    assert error.message == "the changes at one time are too large to be subscribed to"


async def test_an_error_in_data_ends_the_subscription_after_what_came_before() -> None:
    subscriber = Subscriber()
    error = SqlError(DIVISION_BY_ZERO, "division by zero")
    sink = subscriber.sink
    sink.changes(Timestamp(AS_OF), [], [(error, 1), (error, -1)])
    subscriber.change(11, (1, "a", 1))
    sink.changes(Timestamp(12), [((2, "b"), 1)], [(error, 1)])
    sink.frontier(Timestamp(13))
    sink.close()
    assert await subscriber.lines() == ["11 1 1 a"]
    told = subscriber.batches[-1].error
    assert told is not None
    assert (told.sqlstate, told.message) == (DIVISION_BY_ZERO, "division by zero")


async def test_up_to_is_exclusive_and_the_rest_is_sent_after_the_dataflow_has_ended() -> None:
    subscriber = Subscriber(until=13)
    value = "x" * 400_000
    for ts in (11, 12, 13):
        subscriber.change(ts, (ts, value, 1))
    subscriber.sink.close()
    await subscriber.settle()
    lines: list[str] = []
    while subscriber.batches[-1].upper < 13:
        subscriber.subscriptions.add_credit(GlobalId("t1"), SUBSCRIBE_WINDOW_BYTES)
        lines = await subscriber.lines()
    assert [line[:5] for line in lines] == ["11 1 ", "12 1 "]


def test_who_needs_the_contents() -> None:
    types = (INT4, TEXT)
    table = CollectionSource(GlobalId("u1"), ShardId("s1"))
    view = CollectionSource(GlobalId("u1"), ShardId("s1"), CollectionKind.SHARD)
    rows = Get(GlobalId("u1"), types)
    counted = Reduce(rows, (), (Aggregate("count(*)", (), INT8),))

    def needs(relation: Relation, source: CollectionSource, *, with_snapshot: bool) -> bool:
        export = SubscribeExport(OutputFormat(types), 1, 1, with_snapshot)
        return needs_contents(
            DataflowDescription(GlobalId("t1"), relation, (source,), Timestamp(AS_OF), export)
        )

    assert not needs(Project(rows, (1,)), table, with_snapshot=False)
    assert needs(Project(rows, (1,)), table, with_snapshot=True)
    assert needs(rows, view, with_snapshot=False)  # it may hold errors
    assert needs(counted, table, with_snapshot=False)


async def test_progress_that_was_put_off_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    subscriber = Subscriber()
    subscriber.sink.frontier(Timestamp(11))
    await subscriber.settle()
    monkeypatch.setattr(subscribe, "PROGRESS_INTERVAL_S", 1e9)
    subscriber.sink.frontier(Timestamp(12))
    await subscriber.settle()
    assert [batch.upper for batch in subscriber.batches] == [11]
    monkeypatch.setattr(subscribe, "PROGRESS_INTERVAL_S", 0.0)
    subscriber.sink.frontier(Timestamp(12))
    await subscriber.settle()
    assert [batch.upper for batch in subscriber.batches] == [11, 12]


async def test_only_some_batches_tell_of_nothing_but_time() -> None:
    subscriber = Subscriber()
    for ts in range(11, 1000):
        subscriber.sink.frontier(Timestamp(ts))
        if ts % 100 == 0:
            await subscriber.settle()
    assert len(subscriber.batches) < 5
    subscriber.sink.drop()
    subscriber.change(1000, (1, "a", 1))
    await subscriber.settle()
    assert len(subscriber.batches) < 5
