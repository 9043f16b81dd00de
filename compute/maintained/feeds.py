"""Where the changes of each kind of collection come from."""

from collections.abc import Callable

from compute.dataflow_messages import CollectionKind, CollectionSource
from compute.maintained.feed import Feed
from compute.maintained.index_export import IndexArrangement
from compute.maintained.index_feed import IndexFeed
from compute.maintained.progress import Progress
from compute.maintained.shard_feed import ShardFeeds
from compute.maintained.table_feed import TableFeeds
from core.errors import FEATURE_NOT_SUPPORTED, SqlError
from core.ids import GlobalId
from core.sql_types import SqlType


class Feeds:
    """All feeds of a replica. `index_of` finds a running index, or raises SqlError."""

    def __init__(
        self,
        tables: TableFeeds,
        shards: ShardFeeds,
        progress: Progress,
        index_of: Callable[[GlobalId], IndexArrangement],
    ) -> None:
        self.tables = tables
        self.shards = shards
        self._progress = progress
        self._index_of = index_of

    def feed(self, source: CollectionSource, types: tuple[SqlType, ...]) -> Feed:
        """The feed of a collection. Raises SqlError."""
        if source.index is not None:
            return IndexFeed(self._index_of(source.index), self._progress)
        match source.kind:
            case CollectionKind.TABLE:
                return self.tables.feed(source.shard, types)
            case CollectionKind.SHARD:
                return self.shards.feed(source.shard, types)
            case CollectionKind.INDEX:
                raise SqlError(FEATURE_NOT_SUPPORTED, f"cannot follow {source.id} here")
