"""Frontiers of stored collections, as the rest of the process needs them.

All tables share the txns shard's frontier, so hardly anything here is per collection: the since
that a collection may have is one number, the policy's lag behind the newest commit, held back by
the oldest read. Only a collection that was created with RETAIN HISTORY keeps more. A since is
computed when somebody asks: compaction, when it has something to free. Nothing is written per
commit or tick.
"""

from collections.abc import Callable, Iterable

from catalog.objects import StoredCollection
from controllers.read_holds import ReadHolds
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp


class StorageCollections:
    """Synchronous for its callers. `upper` tells the txns shard's upper: every commit below it was
    acknowledged, so no later read is at a time before `upper() - 1`. `lag_us` is the policy: how
    far sinces stay behind."""

    def __init__(
        self, holds: ReadHolds, upper: Callable[[], Timestamp], lag_us: Callable[[], int]
    ) -> None:
        self.holds = holds
        self._upper = upper
        self._lag_us = lag_us
        self._retained: dict[ShardId, _Retained] = {}

    def newest(self) -> Timestamp:
        """The time of the newest commit."""
        return Timestamp(self._upper() - 1)

    def oldest_readable(self) -> Timestamp:
        """The oldest time that anybody reads at from here on, whatever the policy: the oldest hold,
        else now."""
        return self.holds.advance_floor(self.newest())

    def since(self) -> Timestamp:
        """How far sinces may be now; from here on no hold before it can be taken."""
        wanted = Timestamp(max(MIN_TIMESTAMP, self.newest() - self._lag_us()))
        return self.holds.advance_floor(wanted)

    def retain(self, shard: ShardId, retain_us: int, since: Timestamp) -> None:
        """Keep `retain_us` of a shard's past from now on (0: what the policy says); `since` is how
        far back it can be read now."""
        known = self._retained.get(shard)
        if known is not None:
            known.retain_us = retain_us
        elif retain_us:
            self._retained[shard] = _Retained(retain_us, since)

    def forget(self, shard: ShardId) -> None:
        """The shard was dropped."""
        self._retained.pop(shard, None)

    def since_of(self, shard: ShardId) -> Timestamp:
        """How far the since of a shard may be now (what `TxnsWriter` asks)."""
        retained = self._retained.get(shard)
        if retained is None:
            return self.since()
        wanted = min(self.since(), Timestamp(self.newest() - retained.retain_us))
        retained.since = max(retained.since, min(wanted, self.holds.oldest(wanted)))
        return retained.since

    def since_of_all(self, collections: Iterable[StoredCollection]) -> Timestamp:
        """The oldest time at which all of these can be read."""
        sinces = (max(each.as_of, self.since_of(each.shard)) for each in collections)
        return max(sinces, default=MIN_TIMESTAMP)


class _Retained:
    """A shard that keeps more of its past, and how far its since was let go."""

    __slots__ = ("retain_us", "since")

    def __init__(self, retain_us: int, since: Timestamp) -> None:
        self.retain_us = retain_us
        self.since = since
