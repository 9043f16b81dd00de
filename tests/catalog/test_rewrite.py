"""Renaming inside normalised definitions."""

import pytest

from catalog.rewrite import rewrite_names

RENAMES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("d", "s", "t"): ("d", "s", "new"),
    ("d", "s", "with"): ("d", "s", "With Space"),
}


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("CREATE TABLE d.s.t (t int4)", "CREATE TABLE d.s.new (t int4)"),
        (
            "CREATE TABLE IF NOT EXISTS d.s.t (t int4)",
            "CREATE TABLE IF NOT EXISTS d.s.new (t int4)",
        ),
        ("CREATE VIEW d.s.t AS SELECT 1", "CREATE VIEW d.s.new AS SELECT 1"),
        ("CREATE VIEW v AS SELECT t.a FROM d.s.t", "CREATE VIEW v AS SELECT t.a FROM d.s.new AS t"),
        ("CREATE VIEW v AS SELECT x.a FROM d.s.t x", "CREATE VIEW v AS SELECT x.a FROM d.s.new x"),
        (
            "CREATE VIEW v AS SELECT s.t.a, s.t.* FROM d.s.t",
            "CREATE VIEW v AS SELECT t.a, t.* FROM d.s.new AS t",
        ),
        (
            "CREATE VIEW v AS SELECT 'd.s.t', t FROM (SELECT * FROM d.s.t) AS t -- d.s.t",
            "CREATE VIEW v AS SELECT 'd.s.t', t FROM (SELECT * FROM d.s.new AS t) AS t -- d.s.t",
        ),
        (
            "CREATE VIEW v AS TABLE d.s.t UNION SELECT FROM d.s.t a NATURAL JOIN d.s.t",
            "CREATE VIEW v AS TABLE d.s.new UNION SELECT FROM d.s.new a NATURAL JOIN d.s.new AS t",
        ),
        (
            'CREATE VIEW v AS SELECT * FROM d.s."with"',
            'CREATE VIEW v AS SELECT * FROM d.s."With Space" AS "with"',
        ),
        ("CREATE VIEW v AS SELECT * FROM x.s.t", "CREATE VIEW v AS SELECT * FROM x.s.t"),
    ],
)
def test_references_change_and_nothing_else(before: str, expected: str) -> None:
    assert rewrite_names(before, RENAMES) == expected
