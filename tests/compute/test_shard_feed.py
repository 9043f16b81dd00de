"""Feeds of written shards: a follower sees the view's history, whoever writes and whatever ends."""

import asyncio
import contextlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compute.maintained.shard_feed as feed_module
import compute.maintained.sink as sink_module
import compute.maintained.sink_writer as writer_module
from compute.maintained.feed import FeedLostError
from compute.maintained.progress import Progress
from compute.maintained.shard_feed import ShardCursor, ShardFeed, ShardFeeds
from core.ids import MAX_TIMESTAMP, Timestamp
from persist.snapshot import SinceError
from tests.compute.sink_environment import (
    CODEC,
    VIEW,
    Contents,
    Database,
    History,
    Random,
    Replica,
    check,
    until_durable,
)


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "RETRY_S", 0)
    monkeypatch.setattr(writer_module, "RETRY_S", 0)
    monkeypatch.setattr(writer_module, "ROUND_S", 0)
    monkeypatch.setattr(writer_module, "ROUND_PER_SINK_S", 0)
    monkeypatch.setattr(feed_module, "POLL_S", 0)


class Follower:
    """Keeps the view's contents from a feed and compares them with the history at every time."""

    def __init__(self, feed: ShardFeed, history: History) -> None:
        self.feed = feed
        self.history = history
        self.contents: Counter[object] = Counter()
        self.woken = asyncio.Event()
        self.cursor: ShardCursor | None = None
        self.seen = Timestamp(0)

    async def start(self, as_of: Timestamp) -> None:
        self.cursor = await self.feed.follow(as_of, self.woken.set)
        self.contents.clear()
        await self._known(Timestamp(as_of + 1))
        async with contextlib.aclosing(self.feed.snapshot(as_of)) as parts:
            async for updates, errors in parts:
                self._add(updates, errors)
        self.seen = as_of
        assert self._present() == self.history.contents(as_of)

    async def take(self) -> None:
        """Take what is complete; the contents must be right at every time on the way."""
        assert self.cursor is not None
        while self.cursor.next_ts < self.cursor.upper:
            ts = self.cursor.next_ts
            assert ts > self.seen
            assert self._present() == self.history.contents(ts - 1), ts - 1
            async for updates, errors in self.cursor.take():
                self._add(updates, errors)
            self.seen = ts
            assert self._present() == self.history.contents(ts), ts
        if self.cursor.next_ts == MAX_TIMESTAMP:
            upper = min(self.cursor.upper, self.history.upper)
            assert self._present() == self.history.contents(upper - 1)

    async def reach(self, upper: Timestamp) -> None:
        """Wait until everything before `upper` is known, and take it."""
        await self._known(upper)
        await self.take()

    def close(self) -> None:
        if self.cursor is not None:
            self.cursor.close()

    async def _known(self, upper: Timestamp) -> None:
        async with asyncio.timeout(30):
            await self.feed.feeds.progress.wait_past(lambda: self.feed.upper, Timestamp(upper - 1))

    def _add(self, updates: list, errors: list) -> None:  # type: ignore[type-arg]
        for row, diff in updates:
            self.contents[row] += diff
        for error, diff in errors:
            self.contents[error.message] += diff

    def _present(self) -> Contents:
        return {row: count for row, count in self.contents.items() if count}


steps = st.lists(
    st.tuples(
        st.sampled_from(
            "change change follow follow all turns turns take take kill toggle hint begin".split()
        ),
        st.integers(0, 1),
        st.integers(1, 12),
    ),
    min_size=20,
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 2**32))
def test_followers_see_the_history(schedule: list[tuple[str, int, int]], seed: int) -> None:
    asyncio.run(simulate(schedule, seed))


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=3_000, deadline=None)
@given(steps, st.integers(0, 2**32))
def test_followers_see_the_history_long(schedule: list[tuple[str, int, int]], seed: int) -> None:
    asyncio.run(simulate(schedule, seed))


async def simulate(schedule: list[tuple[str, int, int]], seed: int) -> None:
    database, history = Database(), History()
    await database.create()
    changes = Random(history, seed)
    replicas = [await local(database, history) for _ in range(2)]
    # The first follows where a sink is, the second where none is.
    elsewhere = ShardFeeds(database.location(), Progress())
    types = CODEC.types
    followers = [
        Follower(replicas[0].feeds.feed(VIEW, types), history),
        Follower(elsewhere.feed(VIEW, types), history),
    ]
    for replica in replicas:
        replica.follow()
    await until_durable(replicas[0], history.upper)
    for follower in followers:
        await follower.start(Timestamp(10))
    for step, which, count in schedule:
        replica, follower = replicas[which], followers[which]
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
                replicas[which] = await local(database, history, replica.feeds)
            case "toggle":
                replica.writer.allow_writes(not replica.sink.may_write)
            case "hint":
                upper = (await database.state()).upper
                replica.written.advanced(upper)
                elsewhere.advanced(VIEW, upper)
            case "take":
                await follower.take()
            case "begin":
                follower.close()
                follower.feed = follower.feed.feeds.feed(VIEW, types)
                upper = max(follower.feed.upper, (await database.state()).upper)
                await follower.start(Timestamp(max(10, upper - count)))
    replicas[0].writer.allow_writes(True)
    changes.change()
    for replica in replicas:
        replica.follow()
    await until_durable(replicas[0], history.upper)
    elsewhere.advanced(VIEW, history.upper)
    for follower in followers:
        await follower.reach(history.upper)
        follower.close()
    await check(database, history)
    for replica in replicas:
        await replica.kill()


async def local(database: Database, history: History, feeds: ShardFeeds | None = None) -> Replica:
    state = await database.state()
    replica = Replica(database, history, Timestamp(max(10, state.upper - 1)), shared=feeds)
    replica.writer.allow_writes(True)
    return replica


async def test_output_is_followed_before_it_is_durable() -> None:
    database, history = Database(), History()
    await database.create()
    replica = await local(database, history)
    replica.follow()
    await until_durable(replica, history.upper)
    follower = Follower(replica.feeds.feed(VIEW, CODEC.types), history)
    await follower.start(Timestamp(10))
    replica.writer.allow_writes(False)
    history.add([((1, "a"), 1)], [])
    replica.follow()
    assert follower.woken.is_set()
    assert follower.feed.upper == history.upper > replica.written.upper
    await follower.take()
    second = Follower(follower.feed, history)
    await second.start(Timestamp(history.upper - 1))
    third = Follower(follower.feed, history)
    await third.start(Timestamp(10))
    await third.take()
    for some in (follower, second, third):
        some.close()
    await replica.kill()
    assert replica.feeds.shard(VIEW) is not replica.written  # nothing is kept for it


async def test_a_snapshot_counts_once_what_is_appended_meanwhile() -> None:
    database, history = Database(), History()
    await database.create()
    replica = await local(database, history)
    history.add([((0, "too long to stand inline " * 1_000), 1)], [])
    replica.follow()
    await until_durable(replica, history.upper)
    first = Follower(replica.feeds.feed(VIEW, CODEC.types), history)
    await first.start(Timestamp(10))
    for turns in range(30):
        history.add([((turns, "old"), -1)] * (turns > 0) + [((turns + 1, "old"), 1)], [])
        replica.follow()
        for _ in range(turns):  # the append is that far under way
            await asyncio.sleep(0)
        follower = Follower(first.feed, history)
        await follower.start(Timestamp(history.upper - 1))
        follower.close()
    first.close()
    await replica.kill()


async def test_what_was_compacted_before_it_was_leased_is_not_read() -> None:
    database, history = Database(), History()
    await database.create()
    replica = await local(database, history)
    history.add([((0, "too long to stand inline " * 1_000), 1)], [])
    replica.follow()
    await until_durable(replica, history.upper)
    shard = ShardFeeds(database.location(), Progress()).shard(VIEW)
    before = await shard.fetch()
    for number in range(20):
        history.add([((number, "a"), 1)], [])
        replica.follow()
        await until_durable(replica, history.upper)
    await database.compact(Timestamp(history.upper - 1))
    with pytest.raises(SinceError):
        async for _ in shard.read(before, None, Timestamp(before.upper - 1)):
            pass
    await replica.kill()


async def test_history_that_is_gone_is_refused() -> None:
    database, history = Database(), History()
    await database.create()
    replica = await local(database, history)
    for number in range(100):
        history.add([((1, "a"), 1 if number % 2 == 0 else -1)], [])
        replica.follow()
        await until_durable(replica, history.upper)
    await database.compact(Timestamp(50))
    feed = ShardFeeds(database.location(), Progress()).feed(VIEW, CODEC.types)
    with pytest.raises(SinceError):
        await Follower(feed, history).start(Timestamp(20))
    follower = Follower(feed, history)
    await follower.start(Timestamp(60))
    await follower.take()
    follower.close()
    await replica.kill()


async def test_a_cursor_that_lags_too_far_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_WAITING_UPDATES", 10)
    database, history = Database(), History()
    await database.create()
    replica = await local(database, history)
    replica.follow()
    await until_durable(replica, history.upper)
    follower = Follower(replica.feeds.feed(VIEW, CODEC.types), history)
    await follower.start(Timestamp(10))
    for number in range(20):
        history.add([((number, "a"), 1)], [])
    replica.follow()
    with pytest.raises(FeedLostError):
        await follower.take()
    follower.close()
    await replica.kill()


@pytest.mark.parametrize("is_local", [True, False])
async def test_a_shard_is_followed_before_anything_was_written(is_local: bool) -> None:
    database, history = Database(), History()
    await database.create()
    replica = await local(database, history)
    feeds = replica.feeds if is_local else ShardFeeds(database.location(), Progress())
    follower = Follower(feeds.feed(VIEW, CODEC.types), history)
    for number in range(10):
        history.add([((number, "a"), 1)], [])
    starting = asyncio.create_task(follower.start(Timestamp(14)))
    await asyncio.sleep(0)
    replica.follow()
    await until_durable(replica, history.upper)
    await starting
    history.add([((1, "a"), -1)], [])
    replica.follow()
    await follower.reach(history.upper)
    follower.close()
    await replica.kill()
