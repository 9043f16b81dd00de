"""The committer: the one task through which every durable commit passes."""

from dataclasses import dataclass

from catalog.operations import CatalogChangedError as CatalogChangedError
from core.ids import GlobalId, Timestamp
from persist.batches import Batch


class SerializationConflictError(Exception):
    """Something that the statement read has changed since; plan and read again, then retry."""


@dataclass(frozen=True, slots=True)
class TableWrite:
    """Updates of one table, staged as a batch."""

    id: GlobalId
    batch: Batch


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A write transaction, all or nothing.

    `read_set` holds the stored collections that it read at `read_ts` (None: it read nothing): if
    any was written since, the write fails with SerializationConflictError. `planned_revision` is
    the catalog's when it was planned.
    """

    writes: tuple[TableWrite, ...]
    planned_revision: int
    read_set: frozenset[GlobalId] | None = None
    read_ts: Timestamp | None = None


class Committer:
    """See the module docstring; built by `headwater.boot`."""

    async def write(self, request: WriteRequest) -> Timestamp:
        """Commit `request`; returns its commit time.

        Raises SqlError (42P01 when a table is gone), SerializationConflictError,
        CatalogChangedError. The caller must not be cancelled while it waits: the outcome is real by then.
        """
        raise NotImplementedError
