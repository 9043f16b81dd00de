"""Views that stay fresh, against PostgreSQL's ways to have them: from a commit to its result.

Each delta inserts rows in one statement; then another connection asks both views for what changed.
`insert` is the statement with its commit, `visible` is from the commit's acknowledgement to both
fresh answers. A trigger does its work inside of `insert`, REFRESH between the two.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import click
import psycopg

from benchmarks import auction
from benchmarks.report import Value, print_report
from benchmarks.servers import Target, headwater, postgres

Connection = psycopg.Connection[tuple[int, ...]]
SEED = 5


@dataclass(slots=True)
class Contestant:
    """One way to keep the views; `refresh` runs after each commit, `has_top`: it keeps both."""

    name: str
    target: Target
    refresh: Sequence[str] = ()
    has_top: bool = True
    insert_ms: list[float] = field(default_factory=list)
    visible_ms: list[float] = field(default_factory=list)


def fill(target: Target, definitions: Sequence[str], auctions: int, bids: int) -> bool:
    """Tables with their first rows, and the views; False if an extension is missing."""
    random = Random(SEED)
    with psycopg.connect(target.dsn, autocommit=True) as connection:
        for statement in auction.TABLES:
            connection.execute(statement.encode())
        copied = (
            ("auctions", list(auction.auction_rows(auctions))),
            ("bids", auction.bid_rows(0, bids, auctions, random)),
        )
        for table, rows in copied:
            with connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        for statement in definitions:
            try:
                connection.execute(statement.encode())
            except psycopg.errors.FeatureNotSupported:
                if not statement.startswith("CREATE EXTENSION"):
                    raise
                return False
    return True


def measure(contestant: Contestant, rows: Sequence[tuple[int, int, int]]) -> None:
    """Insert `rows`, see the last one's effect, take them away again."""
    values = ", ".join(map(str, rows))
    _, touched, _ = rows[-1]
    lookups = [auction.BIDS_LOOKUP.format(auction=touched)]
    if contestant.has_top:
        lookups.append(auction.TOP_LOOKUP.format(category=touched % auction.CATEGORIES))
    with (
        psycopg.connect(contestant.target.dsn, autocommit=True) as writer,
        psycopg.connect(contestant.target.dsn, autocommit=True) as reader,
    ):
        before = ask(reader, lookups)[0]
        started = time.perf_counter()
        writer.execute(f"INSERT INTO bids VALUES {values}".encode())
        committed = time.perf_counter()
        for statement in contestant.refresh:
            writer.execute(statement.encode())
        after = ask(reader, lookups)[0]
        seen = time.perf_counter()
        added = sum(bid == touched for _, bid, _ in rows)
        count = before[0][0] if before else 0
        assert after[0][0] == count + added, (contestant.name, before, after)
        writer.execute(f"DELETE FROM bids WHERE id >= {rows[0][0]}".encode())
        for statement in contestant.refresh:
            writer.execute(statement.encode())
    contestant.insert_ms.append((committed - started) * 1e3)
    contestant.visible_ms.append((seen - committed) * 1e3)


def ask(connection: Connection, queries: Sequence[str]) -> list[list[tuple[int, ...]]]:
    return [connection.execute(query.encode()).fetchall() for query in queries]


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--auctions", default=10_000, show_default=True)
@click.option("--bids", default=200_000, show_default=True, help="Rows before the first delta.")
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
def main(as_json: bool, auctions: int, bids: int, repeat: int, deltas: tuple[int, ...]) -> None:
    report: list[dict[str, Value]] = []
    with (
        headwater() as ours,
        postgres() as triggered,
        postgres() as refreshed,
        postgres() as immediate,
    ):
        contestants = [
            Contestant("headwater", ours),
            Contestant("triggers", triggered),
            Contestant("REFRESH", refreshed, refresh=auction.REFRESH),
        ]
        fill(ours, auction.HEADWATER, auctions, bids)
        fill(triggered, auction.TRIGGERS, auctions, bids)
        fill(refreshed, auction.REFRESHED, auctions, bids)
        if fill(immediate, auction.PG_IVM, auctions, bids):
            contestants.append(Contestant("pg_ivm", immediate, has_top=False))
        for size in deltas:
            random = Random(SEED + size)
            for contestant in contestants:
                contestant.insert_ms.clear()
                contestant.visible_ms.clear()
            for _ in range(repeat):
                rows = auction.bid_rows(bids, size, auctions, random)
                for contestant in contestants:
                    measure(contestant, rows)
            report.extend(_summary(size, contestant) for contestant in contestants)
    print_report("From a commit to fresh views", list(report[0]), report, as_json=as_json)


def _summary(size: int, contestant: Contestant) -> dict[str, Value]:
    both = [sum(pair) for pair in zip(contestant.insert_ms, contestant.visible_ms, strict=True)]
    return {
        "rows": size,
        "kept by": contestant.name,
        "insert ms": statistics.median(contestant.insert_ms),
        "visible ms": statistics.median(contestant.visible_ms),
        "together ms": statistics.median(both),
    }


if __name__ == "__main__":
    main()
