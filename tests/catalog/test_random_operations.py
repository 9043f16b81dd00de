"""Random operations: memory is always what the rows say, whatever happened."""

from collections.abc import Callable

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from catalog.builder import CatalogBuilder
from catalog.consistency import find_inconsistencies
from catalog.durable import DurableRow, from_row, to_row
from catalog.objects import AuditEvent
from catalog.operations import (
    CatalogChangedError,
    CreateDatabase,
    CreateSchema,
    DropDatabases,
    DropItems,
    DropSchemas,
    DropTemporaryItems,
    ForgetFinalizedShards,
    Operation,
    RenameDatabase,
    RenameItem,
    RenameSchema,
    SetSystemParameter,
)
from catalog.state import Catalog
from catalog.transact import apply_operations
from core.errors import SqlError
from sql.catalog_view import CatalogItem, SchemaName
from tests.catalog.catalogs import CONTEXT, new_catalog, table, view

NAMES = st.sampled_from(["a", "b", "c", "Quoted", "select"])
CONNECTIONS = frozenset({1, 2})


def _user_items(catalog: Catalog) -> list[CatalogItem]:
    return [e.item for e in catalog.items.values() if not e.record.is_system]


def _user_schemas(catalog: Catalog) -> list[SchemaName]:
    schemas = catalog.schemas.values()
    return [catalog.schema_name(s) for s in schemas if s.database_id is not None]


@st.composite
def operations(draw: st.DrawFn, catalog: Catalog) -> Operation:
    """An operation that makes sense in `catalog`, often."""
    items = _user_items(catalog)
    schemas = _user_schemas(catalog)
    databases = [database.name for database in catalog.databases.values()]
    name = draw(NAMES)
    choices: list[Callable[[], Operation]] = [
        lambda: CreateDatabase(name, "materialize", draw(st.booleans())),
        lambda: DropTemporaryItems(draw(st.sampled_from(sorted(CONNECTIONS)))),
        lambda: SetSystemParameter(name, draw(st.none() | NAMES)),
        lambda: ForgetFinalizedShards(tuple(catalog.unfinalized)[:2]),
        lambda: table(name, temporary_connection=draw(st.sampled_from([1, 2]))),
    ]
    if databases:
        database = draw(st.sampled_from(databases))
        choices += [
            lambda: CreateSchema(database, name, "materialize", draw(st.booleans())),
            lambda: RenameDatabase(database, name),
            lambda: DropDatabases((database,), draw(st.booleans())),
        ]
    if schemas:
        schema = draw(st.sampled_from(schemas))
        choices += [lambda: table(name, schema.schema)] * 4
        choices += [
            lambda: RenameSchema(schema, name),
            lambda: DropSchemas((schema,), draw(st.booleans())),
        ]
    if items:
        chosen = draw(st.sampled_from(items))
        replaces = draw(st.booleans())
        connection = catalog.items[chosen.id].record.temporary_connection
        choices += [
            lambda: view(name, chosen, or_replace=replaces, temporary_connection=connection)
        ] * 4
        choices += [
            lambda: RenameItem(chosen.id, name),
            lambda: DropItems((chosen.id,), draw(st.booleans())),
        ]
    return draw(st.sampled_from(choices))()


@settings(max_examples=100, deadline=None, phases=[Phase.reuse, Phase.generate, Phase.shrink])
@given(st.data())
def test_memory_is_what_the_rows_say(data: st.DataObject) -> None:
    catalog = new_catalog()
    rows: dict[DurableRow, int] = {to_row(value): 1 for value in catalog.objects.values()}
    for _ in range(12):
        operation = data.draw(operations(catalog))
        try:
            applied = apply_operations(catalog, (operation,), catalog.revision, CONTEXT)
        except (SqlError, CatalogChangedError):
            continue
        for row, diff in applied.diffs:
            rows[row] = rows.get(row, 0) + diff
        assert set(rows.values()) <= {0, 1}
        catalog = applied.catalog
    assert find_inconsistencies(catalog, CONNECTIONS) == ()
    stored = [from_row(row) for row, count in rows.items() if count]
    reopened = CatalogBuilder(Catalog())
    reopened.load_all(stored)
    assert reopened.catalog.objects == catalog.objects
    assert not any(isinstance(value, AuditEvent) for value in catalog.objects.values())
