"""The table of catalog macros is consistent with the registry of functions."""

from collections import Counter

import expr.library  # noqa: F401  (fills the registry)
from expr.registry import FunctionKind, functions_named
from sql.catalog_functions import (
    CATALOG_FUNCTIONS,
    CATALOG_TABLE_FUNCTIONS,
    CatalogFunction,
    CatalogTableFunction,
)
from sql.parse import parse_statements


def test_no_signature_stands_twice() -> None:
    macros: list[CatalogFunction | CatalogTableFunction] = [
        *CATALOG_FUNCTIONS,
        *CATALOG_TABLE_FUNCTIONS,
    ]
    signatures = [(macro.name, tuple(p.oid for p in macro.parameters)) for macro in macros]
    assert [signature for signature, count in Counter(signatures).items() if count > 1] == []
    registered = {
        (function.name, tuple(arg.oid for arg in function.args))
        for name, _ in signatures
        for function in functions_named(name)
        if function.kind is not FunctionKind.OPERATOR
    }
    assert registered & set(signatures) == set()


def test_bodies_parse() -> None:
    for macro in CATALOG_FUNCTIONS:
        assert parse_statements(f"SELECT {macro.body}")
    for table_macro in CATALOG_TABLE_FUNCTIONS:
        assert parse_statements(table_macro.body)
