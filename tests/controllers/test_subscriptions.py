"""Subscriptions across replicas: every row once and in order, whichever replica sends it.

Replicas are simulated: each sends the same stream, cut into batches in its own way, from where the
description that it was given begins, for as long as it has credit. They come and go at random.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.dataflow_messages import (
    SUBSCRIBE_WINDOW_BYTES,
    CollectionSource,
    CreateDataflow,
    DataflowDescription,
    DataflowFrontier,
    DropDataflow,
    SubscribeBatch,
    SubscribeCredit,
    SubscribeError,
    SubscribeExport,
    SubscribeRows,
)
from compute.output_format import OutputFormat
from compute.protocol import Command
from controllers.compute_client import PeekChunk, SubscribeProgress, SubscribeRequest
from controllers.read_holds import ReadHolds
from controllers.subscription import Subscription
from controllers.subscriptions import (
    HOLD_LAG_US,
    MAX_ATTEMPTS,
    ClusterSubscriptions,
)
from core.errors import SqlError
from core.ids import GlobalId, Timestamp, new_shard_id
from core.sql_types import INT4
from expr.relation import Constant

EXPORT = SubscribeExport(OutputFormat((INT4,)), 1 << 20, 1 << 20)
TABLE = CollectionSource(GlobalId("u5"), new_shard_id())
RELATION = Constant((), (INT4,))

Stream = list[tuple[Timestamp, list[bytes]]]


def message(text: str, size: int = 0) -> bytes:
    """A DataRow message that stands for a row."""
    body = text.encode().ljust(size, b".")
    return b"D" + (len(body) + 4).to_bytes(4, "big") + body


def make_stream(random: Random, as_of: int, count: int) -> Stream:
    """The rows at some times from `as_of` on."""
    stream: Stream = []
    ts = as_of
    for _ in range(count):
        rows = [message(f"{ts}/{number}") for number in range(random.randint(0, 7))]
        stream.append((Timestamp(ts), rows))
        ts += random.randint(1, 3)
    return stream


def batches(
    random: Random, id: GlobalId, stream: Stream, description: DataflowDescription, end: Timestamp
) -> Iterator[SubscribeBatch]:
    """What a replica sends for `description`: all of `stream`, whose last time is before `end`."""
    assert isinstance(description.export, SubscribeExport)
    first = description.as_of + (0 if description.export.with_snapshot else 1)
    pending: list[SubscribeRows] = []
    for ts, rows in stream:
        if ts < first:
            continue
        position = 0
        while position < len(rows):
            taken = rows[position : position + random.randint(1, 4)]
            position += len(taken)
            pending.append(SubscribeRows(ts, b"".join(taken), len(taken)))
            if random.random() < 0.5:
                upper = ts + 1 if position == len(rows) and random.random() < 0.5 else ts
                yield SubscribeBatch(id, Timestamp(upper), tuple(pending))
                pending = []
    yield SubscribeBatch(id, end, tuple(pending))


@dataclass
class Replica:
    """A simulated replica: what it maintains, and how much of it may be under way."""

    running: dict[GlobalId, Iterator[SubscribeBatch]] = field(default_factory=dict)
    credit: dict[GlobalId, int] = field(default_factory=dict)


class Simulation:
    """A cluster's subscriptions with replicas around them."""

    def __init__(self, seed: int, stream: Stream, end: int) -> None:
        self.random = Random(seed)
        self.stream = stream
        self.end = Timestamp(end)
        self.holds = ReadHolds()
        self.replicas: dict[str, Replica] = {}
        self.descriptions: list[DataflowDescription] = []
        self.created = asyncio.Event()
        self.subscriptions = ClusterSubscriptions(self.send)

    def send(self, name: str, command: Command) -> None:
        replica = self.replicas[name]
        match command:
            case CreateDataflow(description=description):
                assert description.as_of >= self.holds.since_floor
                self.descriptions.append(description)
                self.created.set()
                replica.credit[description.id] = SUBSCRIBE_WINDOW_BYTES
                replica.running[description.id] = batches(
                    self.random, description.id, self.stream, description, self.end
                )
            case DropDataflow(id=id):
                replica.running.pop(id, None)
                replica.credit.pop(id, None)
            case SubscribeCredit(id=id, bytes=size_bytes):
                replica.credit[id] += size_bytes
            case _:
                raise AssertionError(command)

    def request(
        self, as_of: int, *, with_snapshot: bool = True, until: int | None = None
    ) -> SubscribeRequest:
        export = EXPORT if with_snapshot else SubscribeExport(EXPORT.output, 1, 1, False)
        return SubscribeRequest(
            "u1",
            RELATION,
            (TABLE,),
            Timestamp(as_of),
            self.holds.acquire(Timestamp(as_of)),
            export,
            self.end if until is None else Timestamp(until),
        )

    def step(self, name: str) -> None:
        """One replica sends a batch of one of its dataflows, if it has credit."""
        replica = self.replicas[name]
        for id, sending in tuple(replica.running.items()):
            if replica.credit[id] <= 0:
                continue
            batch = next(sending, None)
            if batch is None:
                del replica.running[id]
                continue
            replica.credit[id] -= sum(len(rows.data) for rows in batch.rows)
            self.subscriptions.receive(batch)
            return

    def connect(self, name: str) -> None:
        self.replicas[name] = Replica()
        self.subscriptions.connect(name)

    def disconnect(self, name: str) -> None:
        self.replicas.pop(name, None)
        self.subscriptions.disconnect(name)


async def drain(subscription: Subscription) -> tuple[bytes, list[Timestamp]]:
    """The rest of an ended stream: its rows, and the times of progress."""
    data, uppers = b"", []
    async for event in subscription:
        if isinstance(event, PeekChunk):
            data += event.data
        else:
            uppers.append(event.upper)
    return data, uppers


@given(
    st.integers(0, 2**32),
    st.integers(0, 12),
    st.booleans(),
    st.lists(st.sampled_from(["send a", "send b", "lose a", "lose b", "fail a", "take"])),
)
async def test_every_row_comes_once(
    seed: int, count: int, with_snapshot: bool, events: list[str]
) -> None:
    stream = make_stream(Random(seed), 10, count)
    simulation = Simulation(seed, stream, 100)
    subscription = simulation.subscriptions.start(
        simulation.request(10, with_snapshot=with_snapshot)
    )
    simulation.connect("a")
    simulation.connect("b")
    taken = b""
    for event in events:
        what, _, name = event.partition(" ")
        if what == "send":
            simulation.step(name)
        elif what == "lose" and subscription.attempts < MAX_ATTEMPTS - 1:
            simulation.disconnect(name)
            simulation.connect(name)
        elif what == "take" and subscription._events:
            taken_event = await anext(subscription)
            taken += taken_event.data if isinstance(taken_event, PeekChunk) else b""
        simulation.holds.advance_floor(Timestamp(1000))
    while not subscription.is_over:
        simulation.step("a")
    rest, uppers = await drain(subscription)
    expected = [row for ts, rows in stream for row in rows if with_snapshot or ts > 10]
    assert taken + rest == b"".join(expected)
    assert uppers == sorted(uppers)
    assert simulation.holds.count == 0
    assert not any(replica.running for replica in simulation.replicas.values())


async def test_a_replica_that_comes_late_starts_where_the_stream_is() -> None:
    stream = [(Timestamp(ts), [message(str(ts))]) for ts in range(10, 20)]
    simulation = Simulation(1, stream, 20)
    subscription = simulation.subscriptions.start(simulation.request(10, until=1000))
    simulation.connect("a")
    while simulation.replicas["a"].running:
        simulation.step("a")
    simulation.disconnect("a")
    simulation.connect("a")
    later = simulation.descriptions[-1]
    assert isinstance(later.export, SubscribeExport)
    assert (later.as_of, later.export.with_snapshot) == (19, False)
    assert simulation.holds.oldest(Timestamp(0)) == 19
    await subscription.aclose()
    assert simulation.holds.count == 0


async def test_what_is_not_consumed_is_bounded() -> None:
    row = message("row", 10_000)
    stream = [(Timestamp(ts), [row]) for ts in range(10, 400)]
    simulation = Simulation(1, stream, 400)
    subscription = simulation.subscriptions.start(simulation.request(10))
    simulation.connect("a")
    for _ in range(2000):
        simulation.step("a")
    waiting = sum(len(event[0].data) for event in subscription._events if isinstance(event, tuple))
    assert waiting <= 2 * SUBSCRIBE_WINDOW_BYTES
    count = 0
    while not subscription.is_over:
        event = await anext(subscription)
        count += event.row_count if isinstance(event, PeekChunk) else 0
        simulation.step("a")
    async for event in subscription:
        count += event.row_count if isinstance(event, PeekChunk) else 0
    assert count == len(stream)


async def test_nor_does_it_grow_with_replicas_that_come_and_go() -> None:
    row = message("row", 10_000)
    stream = [(Timestamp(ts), [row]) for ts in range(10, 400)]
    simulation = Simulation(1, stream, 400)
    subscription = simulation.subscriptions.start(simulation.request(10))
    for _ in range(5):
        simulation.connect("a")
        for _ in range(100):
            simulation.step("a")
        assert subscription.unconsumed_bytes <= 2 * SUBSCRIBE_WINDOW_BYTES
        assert (await anext(subscription)) is not None
        simulation.disconnect("a")
    simulation.connect("a")
    count = 0
    while subscription._events or not subscription.is_over:
        while subscription._events:
            event = await anext(subscription)
            count += event.row_count if isinstance(event, PeekChunk) else 0
        simulation.step("a")
    assert subscription.unconsumed_bytes == 0
    assert count > 300


async def test_the_past_is_not_kept_for_ever() -> None:
    stream = [(Timestamp(ts), [message(str(ts))]) for ts in range(10, 20)]
    simulation = Simulation(1, stream, 20)
    subscription = simulation.subscriptions.start(simulation.request(10, until=1000))
    simulation.subscriptions.limit_holds(Timestamp(10 * HOLD_LAG_US))
    simulation.connect("a")
    simulation.subscriptions.limit_holds(Timestamp(10 * HOLD_LAG_US))
    assert simulation.holds.oldest(Timestamp(0)) == 10  # it is needed to begin with
    simulation.step("a")
    simulation.subscriptions.limit_holds(Timestamp(HOLD_LAG_US + 500))
    assert simulation.holds.oldest(Timestamp(0)) == 500
    simulation.disconnect("a")
    simulation.connect("a")
    rows: list[PeekChunk] = []
    with pytest.raises(SqlError, match="too far behind to go on"):
        while True:
            event = await anext(subscription)
            if isinstance(event, PeekChunk):
                rows.append(event)
    assert simulation.holds.count == 0


async def test_an_error_comes_after_the_rows_before_it() -> None:
    simulation = Simulation(1, [], 20)
    subscription = simulation.subscriptions.start(simulation.request(10))
    simulation.connect("a")
    (id,) = simulation.replicas["a"].running
    rows = SubscribeRows(Timestamp(11), message("x"), 1)
    error = SubscribeError("22012", "division by zero")
    simulation.subscriptions.receive(SubscribeBatch(id, Timestamp(12), (rows,), error))
    assert await anext(subscription) == PeekChunk(message("x"), 1)
    assert await anext(subscription) == SubscribeProgress(Timestamp(12))
    with pytest.raises(SqlError, match="division by zero"):
        await anext(subscription)
    assert simulation.holds.count == 0


async def test_a_subscription_that_gets_nowhere_is_given_up() -> None:
    simulation = Simulation(1, [], 20)
    subscription = simulation.subscriptions.start(simulation.request(10))
    for _ in range(MAX_ATTEMPTS):
        simulation.connect("a")
        simulation.disconnect("a")
    with pytest.raises(SqlError, match="replica stopped"):
        await anext(subscription)


async def test_a_failed_dataflow_is_made_anew() -> None:
    stream = [(Timestamp(ts), [message(str(ts))]) for ts in range(10, 20)]
    simulation = Simulation(1, stream, 20)
    subscription = simulation.subscriptions.start(simulation.request(10))
    simulation.connect("a")
    simulation.step("a")
    (id,) = simulation.replicas["a"].running
    failed = DataflowFrontier(id, Timestamp(0), error="a part is missing")
    simulation.created.clear()
    simulation.subscriptions.receive_frontiers((failed,))
    assert not simulation.replicas["a"].running
    await simulation.created.wait()
    while not subscription.is_over:
        simulation.step("a")
    rows, _ = await drain(subscription)
    assert rows == b"".join(row for _, rows in stream for row in rows)


async def test_what_cannot_be_read_any_more_is_not_tried_again() -> None:
    simulation = Simulation(1, [], 20)
    subscription = simulation.subscriptions.start(simulation.request(10))
    simulation.connect("a")
    (id,) = simulation.replicas["a"].running
    gone = DataflowFrontier(id, Timestamp(0), error="history is gone", is_too_late=True)
    simulation.subscriptions.receive_frontiers((gone,))
    with pytest.raises(SqlError, match=r"Timestamp \(10\) is not valid for all inputs"):
        await anext(subscription)
    assert simulation.holds.count == 0


async def test_what_reads_a_dropped_relation_ends() -> None:
    simulation = Simulation(1, [], 20)
    subscription = simulation.subscriptions.start(simulation.request(10))
    simulation.connect("a")
    simulation.subscriptions.retire({GlobalId("u6"): "another"})
    assert not subscription.is_over
    simulation.subscriptions.retire({TABLE.id: "materialize.public.t"})
    with pytest.raises(SqlError, match=r'"materialize\.public\.t" was dropped'):
        await anext(subscription)
    assert not simulation.replicas["a"].running


async def test_a_subscription_up_to_its_start_is_empty() -> None:
    simulation = Simulation(1, [], 20)
    subscription = simulation.subscriptions.start(simulation.request(10, until=10))
    assert await drain(subscription) == (b"", [])
    assert simulation.holds.count == 0
