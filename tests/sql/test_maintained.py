"""What is planned of materialized views and indexes, at CREATE and from stored definitions."""

import pytest

from catalog.operations import CreateCluster, RenameCluster, RenameItem
from catalog.state import Catalog
from catalog.transact import apply_operations
from controllers.shard_pool import ShardPool
from core.errors import SqlError
from expr.relation import Filter, Get, Project, Relation, children, scalars_of
from expr.scalar import Call, ColumnRef, Scalar
from frontend.maintained_ddl import maintained_operations
from sql.catalog_view import CatalogItem
from sql.maintained import MaintainedPlan, plan_maintained
from sql.parse import parse_statements
from sql.plan import CreateIndexPlan, CreateMaterializedViewPlan
from sql.planner import plan_statement
from sql.session_view import PlanningSession
from tests.catalog.catalogs import CONTEXT, after, item, new_catalog, table, view

SESSION = PlanningSession()


class Definitions:
    """A catalog that grows by statements."""

    def __init__(self) -> None:
        self.catalog: Catalog = after(
            new_catalog(), table("t"), CreateCluster("other", "materialize")
        )
        self.catalog = after(self.catalog, view("v", item(self.catalog, "t")))

    def create(self, statement: str) -> CatalogItem:
        """What a CREATE MATERIALIZED VIEW or CREATE INDEX makes."""
        (parsed,) = parse_statements(statement)
        planned = plan_statement(parsed, self.catalog.for_connection(None), SESSION).plan
        assert isinstance(planned, CreateMaterializedViewPlan | CreateIndexPlan)
        operations = maintained_operations(planned, "materialize", ShardPool())
        applied = apply_operations(self.catalog, operations, self.catalog.revision, CONTEXT)
        self.catalog = applied.catalog
        (result,) = applied.results
        return next(e.item for e in self.catalog.items.values() if e.item.id == result.id)

    def plan(self, created: CatalogItem) -> MaintainedPlan:
        return plan_maintained(created, self.catalog.for_connection(None), SESSION)

    def id(self, name: str) -> str:
        return item(self.catalog, name).id


@pytest.fixture
def definitions() -> Definitions:
    return Definitions()


def reads(relation: Relation) -> set[str]:
    found = {relation.id} if isinstance(relation, Get) else set()
    return found.union(*map(reads, children(relation)))


def test_views_are_inlined_and_stored_rows_are_read(definitions: Definitions) -> None:
    m = definitions.create("CREATE MATERIALIZED VIEW m AS SELECT b, count(*) FROM v GROUP BY b")
    plan = definitions.plan(m)
    assert reads(plan.relation) == plan.depends_on == {definitions.id("t")}
    assert plan.desc.names == ("b", "count")
    assert plan.key == ()
    n = definitions.create("CREATE MATERIALIZED VIEW n AS SELECT b FROM m WHERE count > 1")
    assert definitions.plan(n).depends_on == {m.id}


def test_an_index_has_the_rows_of_what_it_is_on(definitions: Definitions) -> None:
    on_table = definitions.plan(definitions.create("CREATE INDEX ON t (lower(b), a)"))
    assert isinstance(on_table.relation, Get)
    lower, a = on_table.key
    assert isinstance(lower, Call)
    assert a == ColumnRef(0, a.type)
    definitions.create("CREATE MATERIALIZED VIEW m AS SELECT b, a FROM t")
    on_stored = definitions.plan(definitions.create("CREATE INDEX ON m (a)"))
    assert on_stored.depends_on == {definitions.id("m")}
    assert on_stored.key == (ColumnRef(1, a.type),)
    on_view = definitions.plan(definitions.create("CREATE INDEX ON v (a)"))
    assert reads(on_view.relation) == {definitions.id("t")}


def test_only_older_indexes_of_the_same_cluster_are_read(definitions: Definitions) -> None:
    t = definitions.id("t")
    first = definitions.create("CREATE INDEX ON t (a)")
    m = definitions.create("CREATE MATERIALIZED VIEW m AS SELECT a FROM t")
    n = definitions.create("CREATE MATERIALIZED VIEW n IN CLUSTER other AS SELECT a FROM t")
    second = definitions.create("CREATE INDEX ON t (b)")
    assert definitions.plan(first).indexes == ()
    assert definitions.plan(m).indexes == ((t, first.id),)
    assert definitions.plan(n).indexes == ()
    assert definitions.plan(second).indexes == ((t, first.id),)


def scalars_below(relation: Relation) -> list[Scalar]:
    found = list(scalars_of(relation))
    for child in children(relation):
        found += scalars_below(child)
    return found


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("SELECT a, b, count(*) FROM t GROUP BY a, b", (1, 2)),
        ("SELECT count(*), b FROM t GROUP BY b", (2,)),
        ("SELECT DISTINCT b, a FROM t", (1, 2)),
        ("SELECT DISTINCT ON (b) a, b FROM t ORDER BY b, a", (2,)),
        ("SELECT b, s + 1 FROM (SELECT b, sum(a) AS s FROM t GROUP BY b) x WHERE s > 1", (1,)),
        ("SELECT count(*) FROM t GROUP BY b", (1,)),
        ("SELECT sum(a), count(*) FROM t", (1, 2)),
        ("SELECT a, b FROM t LIMIT 1", (1, 2)),
        ("SELECT b, a FROM t", (1, 2)),
    ],
)
def test_a_key_that_is_known_is_the_default(
    definitions: Definitions, query: str, key: tuple[int, ...]
) -> None:
    definitions.create(f"CREATE MATERIALIZED VIEW m AS {query}")
    assert definitions.create("CREATE DEFAULT INDEX ON m").index_key == key


def test_definitions_are_planned_again_under_new_names(definitions: Definitions) -> None:
    m = definitions.create("CREATE MATERIALIZED VIEW m (x) AS SELECT t.a FROM t WHERE t.a > 1")
    i = definitions.create("CREATE INDEX ON t ((t.a + 1))")
    before = definitions.plan(m), definitions.plan(i)
    definitions.catalog = after(
        definitions.catalog,
        RenameItem(item(definitions.catalog, "t").id, "T t"),
        RenameCluster("quickstart", "q q"),
    )
    for created, plan in zip((m, i), before, strict=True):
        renamed = definitions.catalog.items[created.id].item
        assert renamed.cluster == "q q"
        assert definitions.plan(renamed) == plan


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE MATERIALIZED VIEW bad AS SELECT now()",
        "CREATE MATERIALIZED VIEW bad AS SELECT a FROM t WHERE b = current_user",
        "CREATE MATERIALIZED VIEW bad AS SELECT a FROM t ORDER BY random() LIMIT 1",
        "CREATE MATERIALIZED VIEW bad AS SELECT a, mz_now() FROM t",
        "CREATE INDEX ON t ((mz_now()))",
        "CREATE INDEX ON t ((a + length(version())))",
    ],
)
def test_what_has_no_lasting_value_is_refused(definitions: Definitions, statement: str) -> None:
    with pytest.raises(SqlError) as raised:
        definitions.create(statement)
    assert raised.value.sqlstate == "0A000"


def test_time_stands_in_conditions(definitions: Definitions) -> None:
    m = definitions.create(
        "CREATE MATERIALIZED VIEW m AS SELECT a FROM t WHERE mz_now() <= a::int8"
    )
    assert isinstance(definitions.plan(m).relation, Filter | Project)


def test_columns_asserted_not_null_are_checked(definitions: Definitions) -> None:
    m = definitions.create(
        "CREATE MATERIALIZED VIEW m WITH (ASSERT NOT NULL a) AS SELECT a, b FROM t"
    )
    assert [column.nullable for column in m.desc.columns] == [False, False]
    messages = {
        scalar.args[1].value  # type: ignore[union-attr]
        for scalar in scalars_below(definitions.plan(m).relation)
        if isinstance(scalar, Call) and scalar.function.startswith("mz_error_if_null")
    }
    assert messages == {'null value in column "a" of relation "m" violates not-null constraint'}
