"""Random queries over three small tables, as text that PostgreSQL accepts.

A query is built top-down with the columns in sight, so that names resolve and types fit; inner
queries see the columns around them. Only what has one answer is made: LIMIT comes with an ORDER BY
of every column, aggregates do not depend on an order, integers stay small.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hypothesis import strategies as st

INT, TEXT, BOOL, NUMERIC = "int", "text", "bool", "numeric"
SCHEMA = {
    "t": {"a": INT, "b": INT, "c": TEXT, "d": NUMERIC},
    "u": {"a": INT, "c": TEXT, "f": BOOL},
    "v": {"b": INT, "d": NUMERIC},
}
CREATE = (
    "CREATE TABLE t (a int NOT NULL, b int, c text, d numeric(4,1))",
    "CREATE TABLE u (a int, c text, f boolean)",
    "CREATE TABLE v (b int, d numeric(4,1))",
    """INSERT INTO t VALUES (1, 1, 'x', 1.5), (1, 2, 'y', NULL), (2, NULL, 'x', 2),
        (2, 2, NULL, -1), (3, 2, '', 1.5), (3, 2, '', 1.5), (4, 0, 'xy', 0)""",
    """INSERT INTO u VALUES (1, 'x', true), (2, 'y', NULL), (2, 'x', false), (NULL, 'z', true),
        (5, NULL, NULL), (3, '', true)""",
    "INSERT INTO v VALUES (1, 1.5), (2, 2), (NULL, 2), (2, NULL), (7, 0)",
)
LITERALS = {
    INT: ("0", "1", "2", "-1", "3", "NULL::int"),
    TEXT: ("'x'", "''", "'xy'", "NULL::text"),
    BOOL: ("true", "false", "NULL::boolean"),
    NUMERIC: ("1.5", "2.0::numeric", "0::numeric", "NULL::numeric"),
}
TYPES = (INT, TEXT, BOOL, NUMERIC)
AGGREGATES = {  # {0} is the argument, {1} a FILTER clause
    INT: (
        "max({0}){1}",
        "min({0}){1}",
        "count(*){1}::int",
        "count(DISTINCT {0}){1}::int",
        "sum({0}){1}::int",
    ),
    TEXT: ("max({0}){1}", "min({0}){1}", "string_agg({0}, ',' ORDER BY {0}){1}"),
    BOOL: ("bool_or({0}){1}", "bool_and({0}){1}"),
    NUMERIC: ("sum({0}){1}", "max({0}){1}", "round(avg({0}){1}, 4)"),
}


@dataclass(frozen=True)
class Columns:
    """Columns in sight, as (expression, type)."""

    items: tuple[tuple[str, str], ...] = ()

    def of(self, wanted: str) -> list[str]:
        return [name for name, kind in self.items if kind == wanted]

    def __add__(self, other: "Columns") -> "Columns":
        return Columns(self.items + other.items)


@dataclass
class Builder:
    """Draws one query. `depth` bounds how queries nest, `size` how expressions do."""

    draw: st.DrawFn
    aliases: int = 0
    ctes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def one(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def form(self, *makers: Callable[[], str]) -> str:
        """One of several texts; only that one is made."""
        return makers[self.count(0, len(makers) - 1)]()

    def chance(self, percent: int) -> bool:
        return self.draw(st.integers(0, 99)) < percent

    def count(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def alias(self) -> str:
        self.aliases += 1
        return f"r{self.aliases}"

    # Expressions

    def scalar(self, kind: str, near: Columns, far: Columns, depth: int, size: int = 2) -> str:
        """An expression; `near` are this level's columns, `far` those of the levels around."""
        columns = near.of(kind) or far.of(kind)
        if size == 0 or self.chance(35):
            if far.of(kind) and self.chance(30):
                columns = far.of(kind)
            if columns and self.chance(85):
                return self.one(*columns)
            return self.one(*LITERALS[kind])

        def part(of: str) -> str:
            return self.scalar(of, near, far, depth, size - 1)

        if depth and self.chance(20):
            return self.scalar_subquery(kind, near + far, depth - 1)
        if self.chance(15):
            return f"coalesce({part(kind)}, {part(kind)})"
        if self.chance(15):
            return f"CASE WHEN {part(BOOL)} THEN {part(kind)} ELSE {part(kind)} END"
        match kind:
            case "int":
                return self.form(
                    lambda: f"({part(INT)} + {part(INT)})",
                    lambda: f"({part(INT)} - {part(INT)})",
                    lambda: f"length({part(TEXT)})",
                    lambda: f"nullif({part(INT)}, {part(INT)})",
                )
            case "text":
                return self.form(
                    lambda: f"({part(TEXT)} || {part(TEXT)})", lambda: f"upper({part(TEXT)})"
                )
            case "numeric":
                return self.form(
                    lambda: f"({part(NUMERIC)} + {part(NUMERIC)})",
                    lambda: f"abs({part(NUMERIC)})",
                )
            case _:
                return self.test(near, far, depth, size)

    def test(self, near: Columns, far: Columns, depth: int, size: int = 2) -> str:
        """A boolean expression."""
        smaller = max(size - 1, 0)

        def part(of: str) -> str:
            return self.scalar(of, near, far, depth, smaller)

        def smaller_test() -> str:
            return self.test(near, far, 0, smaller)

        kind = self.one(INT, TEXT, NUMERIC)
        if depth and self.chance(35):
            return self.subquery_test(kind, part(kind), near + far, depth - 1)
        if size and self.chance(30):
            return self.form(
                lambda: f"({smaller_test()} AND {smaller_test()})",
                lambda: f"({smaller_test()} OR {smaller_test()})",
                lambda: f"(NOT {self.test(near, far, depth, smaller)})",
            )
        return self.form(
            lambda: f"({part(kind)} {self.one('=', '<>', '<', '<=', '>', '>=')} {part(kind)})",
            lambda: f"({part(kind)} IS {self.one('', 'NOT ')}NULL)",
            lambda: f"({part(kind)} IS {self.one('', 'NOT ')}DISTINCT FROM {part(kind)})",
            lambda: f"({part(kind)} {self.one('', 'NOT ')}IN ({part(kind)}, {part(kind)}))",
            lambda: f"({part(kind)} BETWEEN {part(kind)} AND {part(kind)})",
            lambda: f"({part(TEXT)} LIKE 'x%')",
        )

    def scalar_subquery(self, kind: str, outer: Columns, depth: int) -> str:
        source, columns = self.source(outer, depth, most=2)
        where = f" WHERE {self.test(columns, outer, depth)}" if self.chance(70) else ""
        if self.chance(70):
            # What names only columns around it would be an aggregate of the query around.
            value = self.scalar(kind, columns, Columns(), 0, 1)
            return f"(SELECT {self.aggregate(kind, value)} FROM {source}{where})"
        value = self.scalar(kind, columns, outer, 0, 1)
        return f"(SELECT {value} FROM {source}{where} ORDER BY 1 LIMIT 1)"

    def subquery_test(self, kind: str, left: str, outer: Columns, depth: int) -> str:
        sub = self.select((kind,), outer, depth)
        return self.one(
            f"({self.one('', 'NOT ')}EXISTS ({sub}))",
            f"({left} {self.one('', 'NOT ')}IN ({sub}))",
            f"({left} {self.one('=', '<>', '<', '>=')} {self.one('ANY', 'ALL')} ({sub}))",
        )

    def aggregate(self, kind: str, argument: str, condition: str = "") -> str:
        return self.one(*AGGREGATES[kind]).format(argument, condition)

    # Relations

    def source(self, outer: Columns, depth: int, most: int = 3) -> tuple[str, Columns]:
        """A FROM clause of joined items."""
        text, columns = self.item(outer, Columns(), depth)
        for _ in range(self.count(0, most - 1)):
            join = self.one(
                "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", ","
            )
            beside = columns if join in ("JOIN", "LEFT JOIN", ",") else Columns()
            other, more = self.item(outer, beside, depth)
            if join == ",":
                text = f"({text} CROSS JOIN {other})"
            else:
                text = f"({text} {join} {other} ON {self.on(join, columns, more, outer, depth)})"
            columns += more
        return text, columns

    def on(self, join: str, left: Columns, right: Columns, outer: Columns, depth: int) -> str:
        pairs = [(a, b) for a, kind in left.items for b in right.of(kind)]
        if not pairs:
            return "true" if join == "FULL JOIN" else self.test(left + right, outer, 0)
        a, b = pairs[self.count(0, len(pairs) - 1)]
        if join == "FULL JOIN" or self.chance(60):
            return f"{a} = {b}"
        if self.chance(50):
            return f"{a} = {b} AND {self.test(left + right, outer, 0, 1)}"
        return self.test(left + right, outer, min(depth, 1))

    def item(self, outer: Columns, beside: Columns, depth: int) -> tuple[str, Columns]:
        """A table, a WITH item or a subquery, LATERAL when it names the items `beside` it."""
        alias = self.alias()
        if depth and self.chance(25):
            kinds = tuple(self.one(*TYPES) for _ in range(self.count(1, 2)))
            lateral = bool(beside.items) and self.chance(50)
            sub = self.query(kinds, outer + beside if lateral else outer, depth - 1)
            names = tuple(f"x{index}" for index in range(len(kinds)))
            text = f"{'LATERAL ' if lateral else ''}({sub}) AS {alias} ({', '.join(names)})"
            return text, _qualified(alias, zip(names, kinds, strict=True))
        if self.ctes and self.chance(40):
            name = self.one(*self.ctes)
            columns = ((f"x{index}", kind) for index, kind in enumerate(self.ctes[name]))
            return f"{name} AS {alias}", _qualified(alias, columns)
        table = self.one(*SCHEMA)
        return f"{table} AS {alias}", _qualified(alias, SCHEMA[table].items())

    def query(self, kinds: tuple[str, ...], outer: Columns, depth: int) -> str:
        """A query whose columns have the types `kinds`."""
        text = self.select(kinds, outer, depth)
        if self.chance(20):
            operator = self.one("UNION", "UNION ALL", "EXCEPT", "INTERSECT", "EXCEPT ALL")
            text = f"({text}) {operator} ({self.select(kinds, outer, depth)})"
        if self.chance(15):
            places = ", ".join(
                f"{index + 1} {self.one('', 'DESC', 'NULLS FIRST')}" for index in range(len(kinds))
            )
            text = f"{text} ORDER BY {places} LIMIT {self.row_count(outer)}"
            text += f" OFFSET {self.row_count(outer)}" if self.chance(30) else ""
        return text

    def row_count(self, outer: Columns) -> str:
        if outer.of(INT) and self.chance(50):
            return f"abs({self.one(*outer.of(INT))})"
        return str(self.count(0, 4))

    def select(self, kinds: tuple[str, ...], outer: Columns, depth: int) -> str:
        source, columns = self.source(outer, depth)
        where = f" WHERE {self.test(columns, outer, depth)}" if self.chance(60) else ""
        if self.chance(30):
            return self.grouped(kinds, outer, depth, f"{source}{where}", columns)
        if self.chance(10):
            kind, *others = kinds
            item = self.scalar(kind, columns, outer, depth)
            calls = (self.aggregate(k, self.scalar(k, columns, Columns(), 0, 1)) for k in others)
            return f"SELECT {', '.join((item, *calls))} FROM {source}{where} GROUP BY 1"
        items = ", ".join(self.select_item(kind, columns, outer, depth) for kind in kinds)
        distinct = "DISTINCT " if self.chance(20) else ""
        return f"SELECT {distinct}{items} FROM {source}{where}"

    def select_item(self, kind: str, columns: Columns, outer: Columns, depth: int) -> str:
        """An expression or, for integers, at times a window function without ties' choices."""
        if kind != INT or self.chance(80):
            return self.scalar(kind, columns, outer, depth)

        def part(of: str) -> str:
            return self.scalar(of, columns, outer, 0, 1)

        window = f"PARTITION BY {part(self.one(*TYPES))}" if self.chance(60) else ""
        if self.chance(70):
            window += f" ORDER BY {part(self.one(INT, TEXT))} {self.one('', 'DESC')}"
            window += self.one(
                "",
                "",
                " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
                " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                " GROUPS BETWEEN 1 FOLLOWING AND 2 FOLLOWING",
            )
        call = self.form(
            lambda: "rank()",
            lambda: "dense_rank()",
            lambda: "count(*)",
            lambda: f"sum({part(INT)})",
            lambda: f"max({part(INT)})",
            lambda: f"count({part(TEXT)}) FILTER (WHERE {self.test(columns, outer, 0, 1)})",
        )
        return f"({call} OVER ({window}))::int"

    def grouped(
        self, kinds: tuple[str, ...], outer: Columns, depth: int, source: str, columns: Columns
    ) -> str:
        keys = Columns(tuple(item for item in columns.items if self.chance(25))[: self.count(0, 2)])
        items = []
        for kind in kinds:
            if keys.of(kind) and self.chance(50):
                items.append(self.scalar(kind, keys, Columns(), 0, 1))
            else:
                argument = self.scalar(kind, columns, Columns(), 0, 1)
                condition = ""
                if self.chance(20):
                    condition = f" FILTER (WHERE {self.test(columns, Columns(), 0, 1)})"
                items.append(self.aggregate(kind, argument, condition))
        text = f"SELECT {', '.join(items)} FROM {source}"
        if keys.items:
            text += f" GROUP BY {', '.join(name for name, _ in keys.items)}"
        if self.chance(30):
            argument = self.scalar(INT, columns, Columns(), 0, 0)
            text += f" HAVING {self.aggregate(INT, argument)} > {self.one('0', '1', '2')}"
        return text

    def statement(self) -> str:
        """A whole query, with WITH items at times."""
        items: list[str] = []
        for _ in range(self.count(0, 2) if self.chance(30) else 0):
            kinds = tuple(self.one(*TYPES) for _ in range(self.count(1, 3)))
            name = f"w{len(items)}"
            names = ", ".join(f"x{index}" for index in range(len(kinds)))
            items.append(f"{name} ({names}) AS ({self.query(kinds, Columns(), 1)})")
            self.ctes[name] = kinds
        kinds = tuple(self.one(*TYPES) for _ in range(self.count(1, 3)))
        body = self.query(kinds, Columns(), 2)
        return f"WITH {', '.join(items)} {body}" if items else body


def _qualified(alias: str, columns: Iterable[tuple[str, str]]) -> Columns:
    return Columns(tuple((f"{alias}.{name}", kind) for name, kind in columns))


@st.composite
def statements(draw: st.DrawFn) -> str:
    """Queries over the tables of SCHEMA."""
    return Builder(draw).statement()
