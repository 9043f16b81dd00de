"""A result of 1,000,000 rows: what it costs environmentd in memory, and other connections in time.

One connection reads the whole result while another runs small statements all the time. The growth
is the peak of environmentd's resident memory during the result over its level before.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click
import psycopg

from benchmarks.report import Value, print_report
from benchmarks.servers import Target, headwater

INSERTED_AT_ONCE = 100_000
# Reads the result in chunks and throws it away; prints its row count and the seconds it took.
READER = """
import sys, time, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    started, count = time.perf_counter(), 0
    connection.pgconn.send_query(b"SELECT * FROM big")
    connection.pgconn.set_chunked_rows_mode(1000)
    while (result := connection.pgconn.get_result()) is not None:
        if result.error_message:
            sys.exit(result.error_message.decode())
        count += result.ntuples
    print(count, time.perf_counter() - started)
"""
PROBES: Mapping[str, str] = {"constant": "SELECT 1", "scan of 10 rows": "SELECT * FROM small"}


def resident_kib(pid: int, field: str) -> int:
    """VmRSS or VmHWM of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise ValueError(field)


def prepare(target: Target, row_count: int) -> None:
    """Make the large table and a small one."""
    target.execute(
        "CREATE TABLE small (id integer)",
        "INSERT INTO small SELECT g FROM generate_series(1, 10) AS g",
        "CREATE TABLE big (id integer NOT NULL, name text, amount numeric)",
        *(
            "INSERT INTO big SELECT g, 'this is row ' || g::text, g * 0.25 "
            f"FROM generate_series({start + 1}, {min(start + INSERTED_AT_ONCE, row_count)}) AS g"
            for start in range(0, row_count, INSERTED_AT_ONCE)
        ),
    )


def latencies_ms(connection: "psycopg.Connection[tuple[object, ...]]", statement: str) -> float:
    """Run the statement once; the milliseconds until its whole answer is there."""
    started = time.perf_counter()
    connection.execute(statement.encode()).fetchall()
    return (time.perf_counter() - started) * 1_000


def summary(name: str, samples: list[float]) -> dict[str, Value]:
    """Percentiles of latencies."""
    quantiles = statistics.quantiles(samples, n=100, method="inclusive")
    return {
        "other statements": name,
        "count": len(samples),
        "p50 ms": quantiles[49],
        "p99 ms": quantiles[98],
        "max ms": max(samples),
    }


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option(
    "--rows", "row_count", default=1_000_000, show_default=True, help="Size of the result."
)
def main(as_json: bool, row_count: int) -> None:
    with headwater() as target:
        prepare(target, row_count)
        with psycopg.connect(target.dsn, autocommit=True) as connection:
            for statement in PROBES.values():
                latencies_ms(connection, statement)
            before_kib = resident_kib(target.pid, "VmRSS")
            Path(f"/proc/{target.pid}/clear_refs").write_text("5")  # resets the peak
            samples: dict[str, list[float]] = {name: [] for name in PROBES}
            reader = subprocess.Popen(
                [sys.executable, "-c", READER, target.dsn], stdout=subprocess.PIPE, text=True
            )
            while reader.poll() is None:
                for name, statement in PROBES.items():
                    samples[name].append(latencies_ms(connection, statement))
        assert reader.stdout is not None
        output = reader.stdout.read().split()
        assert reader.returncode == 0 and int(output[0]) == row_count, output
        seconds = float(output[1])
        peak_kib = resident_kib(target.pid, "VmHWM")
    rows: list[dict[str, Value]] = [
        {
            "rows": row_count,
            "seconds": seconds,
            "rows/s": row_count / seconds,
            "memory before MiB": before_kib / 1024,
            "peak MiB": peak_kib / 1024,
            "growth MiB": (peak_kib - before_kib) / 1024,
        }
    ]
    others = [summary(name, values) for name, values in samples.items()]
    if as_json:
        print_report("Large result", [], [{**rows[0], **other} for other in others], as_json=True)
    else:
        print_report("Large result", list(rows[0]), rows, as_json=False)
        print_report("Other connections meanwhile", list(others[0]), others, as_json=False)


if __name__ == "__main__":
    main()
