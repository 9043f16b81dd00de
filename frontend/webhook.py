"""Webhook sources: the body of a request becomes a row, committed like an INSERT's."""

import json
from collections.abc import Mapping
from typing import Final

from catalog.operations import CatalogChangedError
from catalog.state import Catalog, ItemEntry
from coordinator.requests import TableWrite, WriteRequest
from core import errors
from core.errors import SqlError
from core.rows import Datum, Row, codec_for
from core.sql_types import BYTEA, JSONB, SqlType
from expr.scalar import EvaluationContext
from expr.text_format import text_input
from frontend.services import FrontendServices
from persist.batches import inline_batch
from sql.catalog_view import ItemKind

MAX_ATTEMPTS: Final = 100

SourceName = tuple[str, str, str]  # database, schema, source


async def append_webhook(
    services: FrontendServices, name: SourceName, body: bytes, headers: Mapping[str, str]
) -> None:
    """Commit one request to the source of that name; durable when this returns, and perhaps if the
    call is cancelled. Raises SqlError: 42P01 if there is no such webhook source, 22… for a body
    that is not of its format."""
    for _ in range(MAX_ATTEMPTS):
        catalog = await services.coordinator.catalog_snapshot()
        source = _source(catalog, name)
        types = source.record.desc.types
        row = _row(types, body, headers)
        encoded = codec_for(tuple(t.base for t in types)).encode(row)
        write = TableWrite(source.record.id, inline_batch([(encoded, 1)]), name[-1])
        try:
            await services.coordinator.write(WriteRequest((write,), catalog.revision))
        except CatalogChangedError:
            continue
        return
    raise SqlError(errors.SERIALIZATION_FAILURE, "the source keeps changing")


def _source(catalog: Catalog, name: SourceName) -> ItemEntry:
    database, schema_name, item = name
    schema = catalog.schema_named(database, schema_name)
    items = None if schema is None else catalog.contents.get((schema.id, None))
    id = None if items is None else items.get(item)
    if id is not None:
        entry = catalog.items[id]
        record = entry.record
        is_generated = record.is_written_directly or record.cluster_id is not None
        if record.kind is ItemKind.SOURCE and not is_generated:
            return entry
    full_name = ".".join(name)
    raise SqlError(errors.UNDEFINED_TABLE, f'webhook source "{full_name}" does not exist')


def _row(types: tuple[SqlType, ...], body: bytes, headers: Mapping[str, str]) -> Row:
    row: list[Datum] = [body if types[0] == BYTEA else _text_value(types[0], _decoded(body))]
    if len(types) > 1:
        row.append(_text_value(JSONB, json.dumps(dict(headers))))
    return tuple(row)


def _text_value(sql_type: SqlType, text: str) -> Datum:
    return text_input(sql_type, EvaluationContext())(text)


def _decoded(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        byte = body[error.start]
        raise SqlError(
            errors.CHARACTER_NOT_IN_REPERTOIRE,
            f'invalid byte sequence for encoding "UTF8": 0x{byte:02x}',
        ) from error
    if "\0" in text:
        raise SqlError(
            errors.CHARACTER_NOT_IN_REPERTOIRE, 'invalid byte sequence for encoding "UTF8": 0x00'
        )
    return text
