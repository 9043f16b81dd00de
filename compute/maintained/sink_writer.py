"""Appending the output of all sinks of a replica: one statement at a time for all together.

What has changed goes out at once, and whatever comes while a statement is under way goes with the
next. The uppers of shards with no changes move together, when the clock has moved, and the more
there are the less often; but at once when somebody elsewhere waits for them.

An outcome that is unknown is settled by repetition (`persist.consensus`); if even that fails the
shards are looked at before anything else is sent. A conflict makes the shards of a statement go one
by one, once.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Final

import structlog

from compute.maintained.shard_feed import ShardFeeds
from compute.maintained.sink import RETRY_S, Sink
from compute.metrics import SINK_APPEND_SECONDS
from core.errors import FencedError, StorageError
from core.ids import ShardId, Timestamp
from persist.consensus import Consensus
from persist.machine import RefusedError, UpperMismatchError, apply_together

ROUND_S: Final = 0.1
ROUND_PER_SINK_S: Final = 0.002
SHARDS_PER_STATEMENT: Final = 128

_log: Final = structlog.get_logger(__name__)


class SinkWriter:
    """One for a replica; `run` is its task. One event loop; not thread-safe."""

    def __init__(self, consensus: Consensus, shards: ShardFeeds) -> None:
        self.shards = shards
        self._consensus = consensus
        self._progress = shards.progress
        self.allowed = asyncio.Event()  # set while this replica writes
        self._sinks: dict[Sink, None] = {}
        self._changed: dict[Sink, None] = {}
        self._wake = asyncio.Event()
        self._round_at = 0.0
        self._round_generation = -1

    def add(self, sink: Sink) -> None:
        """A new sink."""
        self._sinks[sink] = None
        self.shards.add_sink(sink)
        sink.allow_writes(self.allowed.is_set())

    def remove(self, sink: Sink) -> None:
        """The sink is closed; an append of it that is under way may still land."""
        self._sinks.pop(sink, None)
        self._changed.pop(sink, None)
        self.shards.remove_sink(sink)

    def allow_writes(self, is_allowed: bool) -> None:
        """Whether this replica writes."""
        if is_allowed:
            self.allowed.set()
        else:
            self.allowed.clear()
        for sink in self._sinks:
            sink.allow_writes(is_allowed)
            self.changed(sink)

    def changed(self, sink: Sink) -> None:
        """There is something to do for `sink`."""
        if sink in self._sinks:
            self._changed[sink] = None
            self._wake.set()

    def advance(self, shards: frozenset[ShardId], past: Timestamp) -> None:
        """Move the uppers of these shards past a time as soon as their contents are known so far,
        and have it told."""
        for sink in self._sinks:
            if sink.shard.id not in shards or sink.shard.upper > past:
                continue
            if sink.upper > past:
                self.changed(sink)
            elif not sink.is_awaited:
                self._progress.when_past(
                    partial(getattr, sink, "upper"), past, partial(self.changed, sink)
                )
            sink.is_awaited = True

    async def run(self) -> None:
        """Write until cancelled, or until this process is fenced: then nothing is written any more,
        and whoever has taken over makes the dataflows anew."""
        try:
            await self._run()
        except FencedError as error:
            _log.warning("sinks_stopped", error=str(error))
        except Exception:  # a bug: every sink's dataflow fails instead of waiting for ever
            _log.exception("sinks_failed")
            raise
        finally:
            self.allow_writes(False)

    async def _run(self) -> None:
        while True:
            is_round = await self._wait()
            changed, self._changed = self._changed, {}
            await self._write(list(changed))
            if is_round:
                await self._write([sink for sink in self._sinks if sink not in changed])

    async def _wait(self) -> bool:
        """Until there is something to do; whether all uppers are to be moved."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            if not self.allowed.is_set() or not self._sinks:
                await self._wake.wait()
            elif not self._changed:
                try:
                    async with asyncio.timeout_at(self._round_at):
                        await self._wake.wait()
                except TimeoutError:
                    pass
            is_round = loop.time() >= self._round_at
            if is_round:
                self._round_at = loop.time() + max(ROUND_S, ROUND_PER_SINK_S * len(self._sinks))
                is_round = self._round_generation != self._progress.generation
                self._round_generation = self._progress.generation
            if self._changed or is_round:
                return is_round

    async def _write(self, sinks: Sequence[Sink]) -> None:
        ready: list[Sink] = []
        for sink in sinks:
            if sink.wants_opening:
                sink.open()
            elif sink.is_due:
                try:
                    await sink.prepare()
                except StorageError as error:
                    await self._postpone([sink], error)
                if sink.append is not None:
                    ready.append(sink)
        for begin in range(0, len(ready), SHARDS_PER_STATEMENT):
            some = [sink for sink in ready[begin : begin + SHARDS_PER_STATEMENT] if sink.is_due]
            await self._send(some)
        for sink in ready:
            if sink.is_due and not sink.outstanding.is_empty:
                self.changed(sink)  # more came, or there was more than goes into one append

    async def _send(self, sinks: list[Sink]) -> None:
        if not sinks:
            return
        started = perf_counter()
        commands = [
            (sink.shard.machine, sink.append.command) for sink in sinks if sink.append is not None
        ]
        try:
            is_set = len(commands) > 1 and await apply_together(self._consensus, commands)
        except FencedError:
            raise
        except StorageError as error:
            await self._postpone(sinks, error)
            return
        if is_set:
            for sink in sinks:
                sink.appended()
        else:
            await asyncio.gather(*map(self._send_alone, sinks))
        SINK_APPEND_SECONDS.observe(perf_counter() - started)

    async def _send_alone(self, sink: Sink) -> None:
        append = sink.append
        assert append is not None
        try:
            await sink.shard.machine.apply(append.command)
        except UpperMismatchError:
            sink.refetch()
            self.changed(sink)
        except RefusedError:
            sink.gone()
        except FencedError:
            raise
        except StorageError as error:
            await self._postpone([sink], error)
        else:
            sink.appended()

    async def _postpone(self, sinks: Sequence[Sink], error: StorageError) -> None:
        """The store failed: give it a while, then look at the shards anew."""
        _log.warning("append_failed", shards=len(sinks), error=str(error))
        for sink in sinks:
            sink.refetch()
            self.changed(sink)
        await asyncio.sleep(RETRY_S)
