"""Reads per second: a constant, and scans of small tables; simple and prepared protocol.

No cache is made for the benchmark: every statement runs at a timestamp of its own from the oracle.
Point reads by key will join when indexes do.
"""

import click

from benchmarks import pgbench
from benchmarks.report import Value, print_report
from benchmarks.servers import Target, headwater, postgres

SMALL_ROWS = 10
MEDIUM_ROWS = 100
SCRIPTS = {
    "constant": "SELECT 1;\n",
    f"scan of {SMALL_ROWS} rows": "SELECT id, name, amount FROM small;\n",
    f"filter of {MEDIUM_ROWS} rows": (
        f"\\set id random(1, {MEDIUM_ROWS})\nSELECT name FROM medium WHERE id = :id;\n"
    ),
}


def prepare(target: Target) -> None:
    """Make the tables."""
    for table, row_count in (("small", SMALL_ROWS), ("medium", MEDIUM_ROWS)):
        numbers = f"generate_series(1, {row_count}) AS g"
        target.execute(
            f"CREATE TABLE {table} (id integer NOT NULL, name text NOT NULL, amount numeric)",
            f"INSERT INTO {table} SELECT g, 'name ' || g::text, g * 1.5 FROM {numbers}",
        )


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--seconds", default=3, show_default=True, help="Length of each run.")
@click.option(
    "--clients",
    multiple=True,
    type=int,
    default=(1, 16, 128),
    show_default=True,
    help="Repeatable.",
)
def main(as_json: bool, seconds: int, clients: tuple[int, ...]) -> None:
    rows: list[dict[str, Value]] = []
    with headwater() as ours, postgres() as theirs:
        for target in (ours, theirs):
            prepare(target)
        for name, script in SCRIPTS.items():
            for protocol in ("simple", "prepared"):
                for count in clients:
                    results = [
                        pgbench.run(
                            target, script, clients=count, protocol=protocol, seconds=seconds
                        )
                        for target in (ours, theirs)
                    ]
                    rows.append(
                        {
                            "statement": name,
                            "protocol": protocol,
                            "clients": count,
                            "headwater/s": results[0].tps,
                            "postgresql/s": results[1].tps,
                            "ratio": results[0].tps / results[1].tps,
                            "headwater ms": results[0].latency_ms,
                            "postgresql ms": results[1].latency_ms,
                        }
                    )
    print_report("Reads", list(rows[0]), rows, as_json=as_json)


if __name__ == "__main__":
    main()
