"""Peeks of indexes: waiting for the index to reach the peek's time, and reading it there."""

import asyncio
from collections.abc import Callable
from typing import Final

from compute.maintained.index_export import IndexArrangement, IndexAt
from compute.maintained.progress import Progress
from core.errors import SqlError
from core.ids import MAX_TIMESTAMP, GlobalId, Timestamp
from persist.snapshot import SinceError
from persist.txn_reader import TxnsReader

READ_TIMEOUT_S: Final = 120.0  # once the index is hydrated, which takes as long as it takes


class IndexReads:
    """`index_of` finds a running index, or raises SqlError."""

    def __init__(
        self,
        index_of: Callable[[GlobalId], IndexArrangement],
        reader: TxnsReader,
        progress: Progress,
    ) -> None:
        self._index_of = index_of
        self._reader = reader
        self._progress = progress

    def ready(self, id: GlobalId, as_of: Timestamp) -> IndexAt | None:
        """The index at `as_of`, held, if it need not be waited for. Raises SqlError for an index
        that is not there and for errors in its data, SinceError."""
        index = self._index_of(id)
        return _at(index, as_of) if index.upper > as_of else None

    async def read(self, id: GlobalId, as_of: Timestamp) -> IndexAt:
        """The same, waiting for it. Raises StorageError and TimeoutError besides."""
        index = self._index_of(id)

        def hydrated() -> Timestamp:
            return MAX_TIMESTAMP if index.is_closed or index.is_hydrated else Timestamp(0)

        def upper() -> Timestamp:
            return MAX_TIMESTAMP if index.is_closed else index.upper

        await self._reader.wait_past(as_of)
        await self._progress.wait_past(hydrated, Timestamp(0))
        async with asyncio.timeout(READ_TIMEOUT_S):
            await self._progress.wait_past(upper, as_of)
        if index.is_closed:
            self._index_of(id)  # says why
            raise SqlError("57P01", f"index {id} was dropped while it was waited for")
        return _at(index, as_of)


def _at(index: IndexArrangement, as_of: Timestamp) -> IndexAt:
    if as_of < index.since:
        raise SinceError(as_of, index.since)
    error = index.errors.first_at(as_of)
    if error is not None:
        raise error
    return IndexAt(index, as_of)
