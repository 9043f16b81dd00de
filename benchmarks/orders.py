"""Orders and their line items: what each customer has ordered in all, by a join and a sum.

Three ways to have it in PostgreSQL stand beside our view: triggers written by hand, REFRESH, and
pg_ivm where its extension is installed.
"""

from collections.abc import Iterator
from random import Random
from typing import Final

LINES_PER_ORDER: Final = 4
TABLES: Final = (
    "CREATE TABLE orders (id int NOT NULL, customer int NOT NULL)",
    "CREATE TABLE lineitem (id int NOT NULL, order_id int NOT NULL, price bigint NOT NULL)",
)
QUERY: Final = (
    "SELECT customer, sum(price) AS total, count(*) AS lines"
    " FROM orders o JOIN lineitem l ON l.order_id = o.id GROUP BY customer"
)
LOOKUP: Final = "SELECT lines, total FROM spent WHERE customer = {customer}"
HEADWATER: Final = (
    f"CREATE VIEW spent AS {QUERY}",
    "CREATE INDEX spent_by_customer ON spent (customer)",
)
_KEYS: Final = (
    "CREATE UNIQUE INDEX orders_by_id ON orders (id)",
    "CREATE INDEX lineitem_by_id ON lineitem (id)",
    "CREATE INDEX lineitem_by_order ON lineitem (order_id)",
)
REFRESHED: Final = (
    *_KEYS,
    f"CREATE MATERIALIZED VIEW spent AS {QUERY}",
    "CREATE UNIQUE INDEX spent_by_customer ON spent (customer)",
)
REFRESH: Final = ("REFRESH MATERIALIZED VIEW spent",)
_FUNCTION: Final = """
    CREATE FUNCTION lineitem_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO spent SELECT customer, {sign} sum(price), {sign} count(*)
            FROM changed JOIN orders ON orders.id = changed.order_id GROUP BY customer
        ON CONFLICT (customer) DO UPDATE SET total = spent.total + excluded.total,
            lines = spent.lines + excluded.lines;
        DELETE FROM spent WHERE lines = 0 AND customer IN
            (SELECT customer FROM changed JOIN orders ON orders.id = changed.order_id);
        RETURN NULL; END $$"""
_TRIGGER: Final = (
    "CREATE TRIGGER lineitem_{event} AFTER {verb} ON lineitem REFERENCING {rows} TABLE AS changed"
    " FOR EACH STATEMENT EXECUTE FUNCTION lineitem_{event}()"
)
TRIGGERS: Final = (
    *_KEYS,
    "CREATE TABLE spent (customer int PRIMARY KEY, total numeric, lines bigint)",
    f"INSERT INTO spent {QUERY}",
    _FUNCTION.format(event="inserted", sign="+"),
    _FUNCTION.format(event="deleted", sign="-"),
    _TRIGGER.format(event="inserted", verb="INSERT", rows="NEW"),
    _TRIGGER.format(event="deleted", verb="DELETE", rows="OLD"),
)
PG_IVM: Final = (
    *_KEYS,
    "CREATE EXTENSION pg_ivm",
    f"SELECT pgivm.create_immv('spent', '{QUERY}')",
)


def customer_of(order: int, orders: int) -> int:
    """Ten orders a customer, scattered."""
    return order * 7919 % max(1, orders // 10)


def order_rows(orders: int) -> Iterator[tuple[int, int]]:
    """(id, customer) of every order."""
    return ((id, customer_of(id, orders)) for id in range(orders))


def line_rows(first: int, count: int, orders: int, random: Random) -> list[tuple[int, int, int]]:
    """`count` line items with ids from `first`."""
    return [
        (id, random.randrange(orders), random.randint(1, 1_000_000))
        for id in range(first, first + count)
    ]
