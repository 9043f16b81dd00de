"""Views that stay fresh, against PostgreSQL's ways to have them: from a commit to its result.

Each delta inserts rows in one statement (COPY from 100 rows on); then another connection asks for
what changed. `insert` is the statement with its commit, `visible` is from the commit's
acknowledgement to the fresh answers. A trigger does its work inside of `insert`, REFRESH between
the two.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import click
import psycopg

from benchmarks import auction, orders
from benchmarks.report import Value, print_report
from benchmarks.servers import Target, headwater, postgres

Connection = psycopg.Connection[tuple[int, ...]]
Rows = list[tuple[int, int, int]]
SEED = 5
LEAST_COPIED = 100


@dataclass(frozen=True, slots=True)
class Workload:
    """Tables of which the second grows by rows (id, reference, number), and what is asked of them.

    `lookups` ask for what a reference touches; the first column of the first counts its rows.
    """

    name: str
    tables: Sequence[str]
    grows: str
    first: tuple[str, list[tuple[int, int]]]
    count: int
    new_rows: Callable[[int, int, Random], Rows]
    lookups: Callable[[int], Sequence[str]]
    ways: Sequence[tuple[str, Sequence[str], Sequence[str]]]  # name, definitions, after a commit


@dataclass(slots=True)
class Contestant:
    """One way to keep the views; `refresh` runs after each commit."""

    name: str
    target: Target
    refresh: Sequence[str] = ()
    insert_ms: list[float] = field(default_factory=list)
    visible_ms: list[float] = field(default_factory=list)


def auction_workload(auctions: int, bids: int) -> Workload:
    """Two views, of which one reads the other."""
    return Workload(
        "auction",
        auction.TABLES,
        "bids",
        ("auctions", list(auction.auction_rows(auctions))),
        bids,
        lambda first, count, random: auction.bid_rows(first, count, auctions, random),
        lambda touched: (
            auction.BIDS_LOOKUP.format(auction=touched),
            auction.TOP_LOOKUP.format(category=touched % auction.CATEGORIES),
        ),
        (
            ("headwater", auction.HEADWATER, ()),
            ("triggers", auction.TRIGGERS, ()),
            ("REFRESH", auction.REFRESHED, auction.REFRESH),
        ),
    )


def orders_workload(count: int) -> Workload:
    """One view: a join and a sum."""
    return Workload(
        "orders",
        orders.TABLES,
        "lineitem",
        ("orders", list(orders.order_rows(count))),
        count * orders.LINES_PER_ORDER,
        lambda first, number, random: orders.line_rows(first, number, count, random),
        lambda touched: (orders.LOOKUP.format(customer=orders.customer_of(touched, count)),),
        (
            ("headwater", orders.HEADWATER, ()),
            ("triggers", orders.TRIGGERS, ()),
            ("REFRESH", orders.REFRESHED, orders.REFRESH),
            ("pg_ivm", orders.PG_IVM, ()),
        ),
    )


def fill(target: Target, workload: Workload, definitions: Sequence[str]) -> bool:
    """Tables with their first rows, and the views; False if an extension is missing."""
    with psycopg.connect(target.dsn, autocommit=True) as connection:
        for statement in workload.tables:
            connection.execute(statement.encode())
        table, few = workload.first
        copy_rows(connection, table, few)
        copy_rows(connection, workload.grows, workload.new_rows(0, workload.count, Random(SEED)))
        for statement in definitions:
            try:
                connection.execute(statement.encode())
            except psycopg.errors.FeatureNotSupported:
                if not statement.startswith("CREATE EXTENSION"):
                    raise
                return False
        if not target.name.startswith("headwater"):
            connection.execute("ANALYZE")
    return True


def copy_rows(connection: Connection, table: str, rows: Sequence[tuple[int, ...]]) -> None:
    with connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def measure(contestant: Contestant, workload: Workload, rows: Rows) -> None:
    """Insert `rows`, see the last one's effect, take them away again."""
    touched = rows[-1][1]
    lookups = workload.lookups(touched)
    with (
        psycopg.connect(contestant.target.dsn, autocommit=True) as writer,
        psycopg.connect(contestant.target.dsn, autocommit=True) as reader,
    ):
        before = ask(reader, lookups)[0]
        started = time.perf_counter()
        if len(rows) < LEAST_COPIED:
            values = ", ".join(map(str, rows))
            writer.execute(f"INSERT INTO {workload.grows} VALUES {values}".encode())
        else:
            copy_rows(writer, workload.grows, rows)
        committed = time.perf_counter()
        for statement in contestant.refresh:
            writer.execute(statement.encode())
        after = ask(reader, lookups)[0]
        seen = time.perf_counter()
        added = sum(lookups == workload.lookups(reference) for _, reference, _ in rows)
        count = before[0][0] if before else 0
        assert after[0][0] == count + added, (contestant.name, before, after)
        writer.execute(f"DELETE FROM {workload.grows} WHERE id >= {rows[0][0]}".encode())
        for statement in contestant.refresh:
            writer.execute(statement.encode())
    contestant.insert_ms.append((committed - started) * 1e3)
    contestant.visible_ms.append((seen - committed) * 1e3)


def ask(connection: Connection, queries: Sequence[str]) -> list[list[tuple[int, ...]]]:
    return [connection.execute(query.encode()).fetchall() for query in queries]


def compare(workload: Workload, deltas: Sequence[int], repeat: int) -> list[dict[str, Value]]:
    """Every way to keep the workload's views, by turns."""
    report: list[dict[str, Value]] = []
    with headwater() as ours, postgres() as a, postgres() as b, postgres() as c:
        contestants = [
            Contestant(name, target, refresh)
            for (name, definitions, refresh), target in zip(
                workload.ways, (ours, a, b, c), strict=False
            )
            if fill(target, workload, definitions)
        ]
        for size in deltas:
            random = Random(SEED + size)
            for contestant in contestants:
                contestant.insert_ms.clear()
                contestant.visible_ms.clear()
            for _ in range(repeat):
                rows = workload.new_rows(workload.count, size, random)
                for contestant in contestants:
                    measure(contestant, workload, rows)
            report.extend(_summary(workload, size, contestant) for contestant in contestants)
    return report


def _summary(workload: Workload, size: int, contestant: Contestant) -> dict[str, Value]:
    both = [sum(pair) for pair in zip(contestant.insert_ms, contestant.visible_ms, strict=True)]
    return {
        "workload": workload.name,
        "rows": size,
        "kept by": contestant.name,
        "insert ms": statistics.median(contestant.insert_ms),
        "visible ms": statistics.median(contestant.visible_ms),
        "together ms": statistics.median(both),
    }


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--auctions", default=10_000, show_default=True)
@click.option("--bids", default=200_000, show_default=True, help="Rows before the first delta.")
@click.option("--orders", "order_count", default=100_000, show_default=True, help="With 4 lines.")
@click.option("--repeat", default=7, show_default=True, help="Deltas of each size.")
@click.option(
    "--delta",
    "deltas",
    multiple=True,
    type=int,
    default=(1, 10, 100, 1_000, 10_000),
    show_default=True,
    help="Repeatable.",
)
def main(
    as_json: bool,
    auctions: int,
    bids: int,
    order_count: int,
    repeat: int,
    deltas: tuple[int, ...],
) -> None:
    workloads = (auction_workload(auctions, bids), orders_workload(order_count))
    report = [row for workload in workloads for row in compare(workload, deltas, repeat)]
    print_report("From a commit to fresh views", list(report[0]), report, as_json=as_json)


if __name__ == "__main__":
    main()
