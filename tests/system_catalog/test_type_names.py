"""Names of types, forth and back."""

import pytest

from core.sql_types import TYPES, TypeInfo
from core.type_names import format_type, type_oid


@pytest.mark.parametrize(
    ("oid", "modifier", "expected"),
    [
        (23, None, "integer"),
        (23, -1, "integer"),
        (1043, 7, "character varying(3)"),
        (1043, -1, "character varying"),
        (1042, 7, "character(3)"),
        (1042, None, "character"),
        (1042, -1, "bpchar"),
        (1700, (5 << 16 | 2) + 4, "numeric(5,2)"),
        (1700, (5 << 16 | -2 & 2047) + 4, "numeric(5,-2)"),
        (1114, 3, "timestamp(3) without time zone"),
        (1186, 2147418115, "interval(3)"),
        (1015, 7, "character varying(3)[]"),
        (18, -1, '"char"'),
        (0, None, "-"),
        (99999, None, "???"),
        (30, None, "oidvector"),
    ],
)
def test_format_type(oid: int, modifier: int | None, expected: str) -> None:
    assert format_type(oid, modifier) == expected


@pytest.mark.parametrize("info", [i for i in TYPES.values() if i.name != "_record"])
def test_a_formatted_name_names_its_type(info: TypeInfo) -> None:
    assert type_oid(format_type(info.oid, None)) == info.oid
    assert type_oid(info.name if info.name != "char" else '"char"') == info.oid


@pytest.mark.parametrize(
    ("name", "oid"),
    [
        ("INT", 23),
        ("pg_catalog.int4", 23),
        ("varchar(10)", 1043),
        ("numeric(10, 2)[]", 1231),
        ("timestamp(3) with time zone", 1184),
        ("char", 1042),
        ("float", 701),
        (" text [ ] ", 1009),
        ("no_such_type", None),
        ("int4)", None),
        ("", None),
        ("x" * 10_000, None),
    ],
)
def test_type_oid(name: str, oid: int | None) -> None:
    assert type_oid(name) == oid
