"""Every builtin relation, as the catalog takes them in at boot."""

from typing import Final

from catalog.builtin.constants import CONSTANTS
from catalog.builtin.definitions import (
    MZ_INTERNAL,
    RAW_CATALOG,
    BuiltinConstant,
    BuiltinView,
    builtin_item,
    constant,
)
from catalog.builtin.empty_relations import EMPTY_INFORMATION_SCHEMA, EMPTY_PG_CATALOG
from catalog.builtin.information_schema import INFORMATION_SCHEMA_VIEWS
from catalog.builtin.introspection import INTROSPECTION_RELATIONS
from catalog.builtin.materialize_views import MATERIALIZE_VIEWS
from catalog.builtin.postgres_views import POSTGRES_VIEWS
from catalog.builtin.raw_views import RAW_VIEWS
from catalog.builtin.settings_view import SETTINGS_VIEWS
from core.rows import Row
from sql.catalog_view import CatalogItem


def _comment_rows() -> list[Row]:
    relations = (*BUILTIN_VIEWS, *BUILTIN_CONSTANTS, *INTROSPECTION_RELATIONS)
    return [(relation.oid, relation.comment) for relation in relations if relation.comment]


BUILTIN_VIEWS: Final[tuple[BuiltinView, ...]] = (
    *RAW_VIEWS,
    *POSTGRES_VIEWS,
    *SETTINGS_VIEWS,
    *INFORMATION_SCHEMA_VIEWS,
    *MATERIALIZE_VIEWS,
)
BUILTIN_CONSTANTS: Final[tuple[BuiltinConstant, ...]] = (
    *CONSTANTS,
    constant(
        250,
        MZ_INTERNAL,
        "mz_builtin_comments",
        "oid oid!, comment text!",
        _comment_rows,
        comment="Comments on system relations.",
    ),
    *EMPTY_PG_CATALOG,
    *EMPTY_INFORMATION_SCHEMA,
)


def builtin_items() -> tuple[CatalogItem, ...]:
    """The catalog items of the raw catalog collection and of every builtin relation."""
    constants = tuple(map(builtin_item, BUILTIN_CONSTANTS))
    live = map(builtin_item, INTROSPECTION_RELATIONS)
    return (RAW_CATALOG, *constants, *live, *map(builtin_item, BUILTIN_VIEWS))
