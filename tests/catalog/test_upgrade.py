"""Catalogs that an older version wrote."""

import json

import pytest

from catalog.boot import (
    CATALOG_VERSION,
    BootParameters,
    IncompatibleCatalogError,
    consolidate,
    open_catalog,
)
from catalog.durable import DurableRow, canonical_json, from_row, to_row
from core.ids import Timestamp
from persist.batches import UpdateChunk, read_batch
from persist.memory import MemoryBlob
from tests.catalog.catalogs import CATALOG_SHARD, RecordingLog, new_catalog

NEW = new_catalog()
PARAMETERS = BootParameters(CATALOG_SHARD, epoch=2, now=Timestamp(2))


def as_version_1(row: DurableRow) -> DurableRow:
    """`row` without what clusters and replicas got later."""
    value = json.loads(row.value)
    if row.kind == "cluster":
        for name in ("managed", "size", "replication_factor"):
            del value[name]
    elif row.kind == "cluster_replica":
        del value["size"]
    elif row.kind == "config" and json.loads(row.key)["name"] == "catalog_version":
        value = {"value": "1"}
    return DurableRow(row.kind, row.key, canonical_json(value))


async def test_rows_of_version_1_become_those_of_this_one() -> None:
    rows = [as_version_1(to_row(value)) for value in NEW.objects.values()]
    before = UpdateChunk([row.encode() for row in rows], 1)
    log, blob = RecordingLog(), MemoryBlob()
    opened = await open_catalog((before,), log, blob, PARAMETERS)
    assert opened.config_value("catalog_version") == CATALOG_VERSION
    assert opened.clusters == NEW.clusters
    assert opened.replicas == NEW.replicas
    (write,) = log.writes
    written = [chunk async for chunk in read_batch(blob, write.batch)]
    stored = consolidate((before, *written))
    assert {from_row(row) for row in stored} == set(opened.objects.values())
    assert {to_row(from_row(row)) for row in stored} == set(stored)


async def test_a_version_to_come_is_refused() -> None:
    rows = [to_row(value) for value in NEW.objects.values()]
    rows = [
        DurableRow(row.kind, row.key, '{"value": "1000"}') if "catalog_version" in row.key else row
        for row in rows
    ]
    chunk = UpdateChunk([row.encode() for row in rows], 1)
    with pytest.raises(IncompatibleCatalogError):
        await open_catalog((chunk,), RecordingLog(), MemoryBlob(), PARAMETERS)
