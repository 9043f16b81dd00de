"""Every builtin relation, as the catalog takes them in at boot."""

from typing import Final

from catalog.builtin.definitions import (
    RAW_CATALOG,
    BuiltinConstant,
    BuiltinView,
    builtin_item,
)
from sql.catalog_view import CatalogItem

BUILTIN_VIEWS: Final[tuple[BuiltinView, ...]] = ()
BUILTIN_CONSTANTS: Final[tuple[BuiltinConstant, ...]] = ()


def builtin_items() -> tuple[CatalogItem, ...]:
    """The catalog items of the raw catalog collection and of every builtin relation."""
    return (RAW_CATALOG, *map(builtin_item, (*BUILTIN_CONSTANTS, *BUILTIN_VIEWS)))
