"""The list of builtin relations is consistent in itself."""

from collections import Counter

from catalog.builtin.definitions import FIRST_USER_OID, parse_columns
from catalog.builtin.relations import BUILTIN_CONSTANTS, BUILTIN_VIEWS, builtin_items
from core.rows import codec_for
from core.sql_types import INT4, TEXT, Column, SqlType


def test_columns_are_declared_in_short() -> None:
    desc = parse_columns("a int4!, b text, c text[]!")
    assert desc.columns == (
        Column("a", INT4, False),
        Column("b", TEXT, True),
        Column("c", SqlType(1009), False),
    )


def test_ids_oids_and_names_are_unique() -> None:
    items = builtin_items()
    for values in (
        [item.id for item in items],
        [item.oid for item in items],
        [item.name for item in items],
    ):
        assert [value for value, count in Counter(values).items() if count > 1] == []
    assert all(item.oid < FIRST_USER_OID for item in items)


def test_column_names_are_unique_in_each_relation() -> None:
    for relation in (*BUILTIN_VIEWS, *BUILTIN_CONSTANTS):
        names = relation.desc.names
        assert len(set(names)) == len(names), relation.name


def test_constant_rows_fit_their_columns() -> None:
    for relation in BUILTIN_CONSTANTS:
        codec = codec_for(relation.desc.types)
        width = len(relation.desc.columns)
        for row, (data, diff) in zip(relation.rows(), relation.constant.rows, strict=True):
            assert len(row) == width, relation.name
            assert codec.decode(data) == tuple(row)
            assert diff == 1
            for column, datum in zip(relation.desc.columns, row, strict=True):
                assert column.nullable or datum is not None, (relation.name, column.name)
