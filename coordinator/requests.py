"""What sessions hand to the committer, and what they get back."""

import asyncio
from dataclasses import dataclass

from catalog.operations import Operation, OperationResult
from catalog.state import Catalog
from core.ids import GlobalId, Timestamp
from persist.batches import Batch


class SerializationConflictError(Exception):
    """Something that the statement read has changed since; plan and read again, then retry."""


@dataclass(frozen=True, slots=True)
class TableWrite:
    """Updates of one table, staged as a batch; `name` is for error messages."""

    id: GlobalId
    batch: Batch
    name: str = ""


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


@dataclass(frozen=True, slots=True)
class CatalogOutcome:
    """A committed catalog transaction: `catalog` is the state that it produced (or a later one),
    already published, and `ts` its commit time; one result per operation."""

    revision: int
    ts: Timestamp
    catalog: Catalog
    results: tuple[OperationResult, ...]


@dataclass(frozen=True, slots=True)
class CatalogRequest:
    """A catalog transaction; `read_set` and `read_ts` as in `WriteRequest` (CREATE TABLE AS).

    `previewed_on`: it names ids that it allocated in a preview of itself on that catalog, so it
    fails with CatalogChangedError where it would get others.
    """

    operations: tuple[Operation, ...]
    planned_revision: int
    table_writes: tuple[TableWrite, ...]
    user: str | None
    answer: asyncio.Future[CatalogOutcome]
    read_set: frozenset[GlobalId] | None = None
    read_ts: Timestamp | None = None
    previewed_on: Catalog | None = None
