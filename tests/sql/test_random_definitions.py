"""Random changes of statements about what clusters maintain.

They are refused, or what they make can be planned from its stored definition, which is its own
normal form.
"""

import re
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.operations import CatalogChangedError, CreateCluster
from catalog.state import Catalog
from catalog.transact import apply_operations
from controllers.shard_pool import ShardPool
from core.errors import SqlError
from frontend.maintained_ddl import MaintainedDdlPlan, maintained_operations
from sql.maintained import plan_maintained
from sql.maintained_text import definition_of
from sql.parse import parse_statements
from sql.planner import plan_statement
from sql.session_view import PlanningSession
from tests.catalog.catalogs import (
    CONTEXT,
    after,
    index,
    item,
    materialized_view,
    new_catalog,
    table,
)

SESSION: Final = PlanningSession()
GOOD_TEXTS: Final = tuple(
    """
CREATE OR REPLACE MATERIALIZED VIEW IF NOT EXISTS mm (x, y) IN CLUSTER quickstart WITH (ASSERT
 NOT NULL x, RETAIN HISTORY = FOR '1 hour', REFRESH ON COMMIT) AS SELECT a, b FROM t WHERE a > 1
CREATE INDEX CONCURRENTLY j ON ONLY public.t USING btree (lower(t.b) COLLATE "C" text_ops DESC NULLS
 LAST, (a + 1), a) INCLUDE (b) WITH (RETAIN HISTORY FOR '1 day') TABLESPACE x
CREATE DEFAULT INDEX d IN CLUSTER quickstart ON m WITH (RETAIN HISTORY FOR '1 day')
CREATE CLUSTER c (SIZE = '25cc', REPLICATION FACTOR 2, MANAGED = true, SCHEDULE = MANUAL)
CREATE CLUSTER c REPLICAS (r1 (SIZE '25cc', AVAILABILITY ZONES ('a', 'b')), "R 2" (SIZE '50cc'))
CREATE CLUSTER REPLICA IF NOT EXISTS u.r2 SIZE '25cc', DISK = true
ALTER CLUSTER u SET (MANAGED, SIZE '50cc')
ALTER CLUSTER IF EXISTS u RESET (SIZE, REPLICATION FACTOR)
DROP CLUSTER REPLICA IF EXISTS u.r1, u.r2
ALTER MATERIALIZED VIEW IF EXISTS m SET (RETAIN HISTORY FOR '2h')
ALTER INDEX i RESET (RETAIN HISTORY)
REFRESH MATERIALIZED VIEW CONCURRENTLY m WITH NO DATA
SHOW INDEXES ON t FROM public IN CLUSTER quickstart LIKE 'x%'
COMMENT ON CLUSTER REPLICA u.r1 IS 'x'
DROP MATERIALIZED VIEW m, m RESTRICT
""".replace("\n ", " ")
    .strip()
    .splitlines()
)
TOKEN: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\w+|[^\s\w]")
WORDS: Final = sorted(
    {word for text in GOOD_TEXTS for word in TOKEN.findall(text)}
    | {
        "''",
        "NULL",
        "-1",
        "mz_now()",
        "now()",
        "(SELECT 1)",
        "count(*)",
        "*",
        "t.*",
        "$1",
        "pg_class",
    }
)


def _catalog() -> Catalog:
    catalog = after(new_catalog(), table("t"))
    replicas = (("r1", "25cc"),)
    return after(
        catalog,
        materialized_view("m", item(catalog, "t")),
        index("i", item(catalog, "t")),
        CreateCluster("u", "materialize", is_managed=False, replicas=replicas),
    )


CATALOG: Final = _catalog()


@st.composite
def changed_texts(draw: st.DrawFn) -> str:
    """A good text with up to three words removed, replaced or added."""
    words = TOKEN.findall(draw(st.sampled_from(GOOD_TEXTS)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(words) - 1))
        added = draw(st.sampled_from([[], *([word] for word in WORDS)]))
        words[at : at + draw(st.integers(0, 1))] = added
        if not words:
            return ""
    return " ".join(words)


@settings(max_examples=500, deadline=None)
@given(changed_texts())
def test_definitions_are_refused_or_can_be_planned(text: str) -> None:
    try:
        for parsed in parse_statements(text):
            plan = plan_statement(parsed, CATALOG.for_connection(None), SESSION).plan
            if isinstance(plan, MaintainedDdlPlan):
                operations = maintained_operations(plan, "materialize", ShardPool())
                _check(apply_operations(CATALOG, operations, CATALOG.revision, CONTEXT).catalog)
    except (SqlError, CatalogChangedError):
        return


def _check(catalog: Catalog) -> None:
    for made in (entry.item for id, entry in catalog.items.items() if id not in CATALOG.items):
        plan_maintained(made, catalog.for_connection(None), SESSION)
        assert definition_of(made.create_sql).sql() == made.create_sql
