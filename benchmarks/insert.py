"""Single-row commits per second, each acknowledged when durable; PostgreSQL runs with fsync."""

import click

from benchmarks import pgbench
from benchmarks.report import Value, print_report
from benchmarks.servers import headwater, postgres

SCRIPT = (
    "\\set id random(1, 1000000000)\n"
    "INSERT INTO events (id, name, amount) VALUES (:id, 'an event', 12.50);\n"
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
            target.execute("CREATE TABLE events (id integer NOT NULL, name text, amount numeric)")
        for protocol in ("simple", "prepared"):
            for count in clients:
                results = [
                    pgbench.run(target, SCRIPT, clients=count, protocol=protocol, seconds=seconds)
                    for target in (ours, theirs)
                ]
                rows.append(
                    {
                        "protocol": protocol,
                        "clients": count,
                        "headwater/s": results[0].tps,
                        "postgresql/s": results[1].tps,
                        "ratio": results[0].tps / results[1].tps,
                        "headwater ms": results[0].latency_ms,
                        "postgresql ms": results[1].latency_ms,
                    }
                )
    print_report("Single-row inserts", list(rows[0]), rows, as_json=as_json)


if __name__ == "__main__":
    main()
