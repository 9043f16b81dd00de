"""Random operations: memory is always what the rows say, whatever happened."""

from collections.abc import Callable
from functools import lru_cache

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from catalog.builder import CatalogBuilder
from catalog.consistency import find_inconsistencies
from catalog.durable import DurableRow, from_row, to_row
from catalog.objects import AuditEvent
from catalog.operations import (
    AlterCluster,
    CatalogChangedError,
    CreateCluster,
    CreateDatabase,
    CreateSchema,
    DropClusters,
    DropDatabases,
    DropItems,
    DropReplicas,
    DropSchemas,
    DropTemporaryItems,
    ForgetFinalizedShards,
    Operation,
    RenameCluster,
    RenameColumn,
    RenameDatabase,
    RenameItem,
    RenameSchema,
    SetSystemParameter,
)
from catalog.state import Catalog
from catalog.transact import apply_operations
from core.errors import SqlError
from sql.catalog_view import CatalogItem, ItemKind, SchemaName
from sql.maintained_text import definition_of
from sql.parse import parse_statements
from sql.source_syntax import CreateSource, CreateSubsource
from tests.catalog.catalogs import (
    CONTEXT,
    index,
    materialized_view,
    new_catalog,
    source,
    table,
    view,
)

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
    clusters = [cluster.name for cluster in catalog.clusters.values()]
    name = draw(NAMES)
    choices: list[Callable[[], Operation]] = [
        lambda: CreateDatabase(name, "materialize", draw(st.booleans())),
        lambda: DropTemporaryItems(draw(st.sampled_from(sorted(CONNECTIONS)))),
        lambda: SetSystemParameter(name, draw(st.none() | NAMES)),
        lambda: ForgetFinalizedShards(tuple(catalog.unfinalized)[:2]),
        lambda: table(name, temporary_connection=draw(st.sampled_from([1, 2]))),
        lambda: CreateCluster(name, "materialize", replication_factor=draw(st.integers(0, 2))),
        lambda: RenameCluster(draw(st.sampled_from(clusters)), name),
        lambda: DropClusters((draw(st.sampled_from(clusters)),), draw(st.booleans())),
        lambda: AlterCluster(draw(st.sampled_from(clusters)), draw(st.booleans())),
        lambda: DropReplicas(((draw(st.sampled_from(clusters)), "r1"),), draw(st.booleans())),
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
        choices += [lambda: source(name, draw(st.sampled_from(clusters)))] * 2
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
            lambda: materialized_view(name, chosen, draw(st.sampled_from(clusters))),
            lambda: index(name, chosen, draw(st.sampled_from(clusters)), is_name_made=replaces),
        ] * 2
        choices += [
            lambda: RenameColumn(chosen.id, draw(st.sampled_from(["a", "b"])), name),
            lambda: RenameItem(chosen.id, name),
            lambda: DropItems((chosen.id,), draw(st.booleans())),
        ]
    return draw(st.sampled_from(choices))()


def _full_name(item: CatalogItem) -> tuple[str | None, str, str]:
    return item.name.database, item.name.schema, item.name.item


def _check_source(catalog: Catalog, item: CatalogItem) -> None:
    """The definition says where the source is, what it is called, and what it belongs to."""
    (parsed,) = parse_statements(item.create_sql)
    statement = parsed.statement
    assert isinstance(statement, CreateSource | CreateSubsource)
    assert statement.name == _full_name(item)
    if isinstance(statement, CreateSource):
        assert statement.cluster == item.cluster
    else:
        (owner,) = catalog.items[item.id].record.depends_on
        assert statement.source == _full_name(catalog.items[owner].item)


@lru_cache(maxsize=1)
def _rows_of_a_new_catalog() -> dict[DurableRow, int]:
    return {to_row(value): 1 for value in new_catalog().objects.values()}


@settings(max_examples=100, deadline=None, phases=[Phase.reuse, Phase.generate, Phase.shrink])
@given(st.data())
def test_memory_is_what_the_rows_say(data: st.DataObject) -> None:
    catalog = new_catalog()
    rows = dict(_rows_of_a_new_catalog())
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
    for chosen in _user_items(catalog):
        if chosen.kind is ItemKind.SOURCE:
            _check_source(catalog, chosen)
        elif chosen.cluster is not None:
            definition = definition_of(chosen.create_sql)
            assert (definition.name, definition.cluster) == (_full_name(chosen), chosen.cluster)
    stored = [from_row(row) for row, count in rows.items() if count]
    reopened = CatalogBuilder(Catalog())
    reopened.load_all(stored)
    assert reopened.catalog.objects == catalog.objects
    assert not any(isinstance(value, AuditEvent) for value in catalog.objects.values())
