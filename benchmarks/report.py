"""What a benchmark prints: a table for people, or one JSON document with --json."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from headwater.version import VERSION

Value = str | int | float | None


def print_report(
    title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Value]], *, as_json: bool
) -> None:
    """Print the rows; `columns` are the keys shown in the table, JSON has all of them."""
    if as_json:
        document = {
            "benchmark": title,
            "version": VERSION,
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "processor": _processor(),
            "rows": list(rows),
        }
        print(json.dumps(document, indent=2))
        return
    print(f"\n{title} ({os.cpu_count()} cores, {_processor()})\n")
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(len(name), *(len(row[column]) for row in cells)) for column, name in enumerate(columns)
    ]
    print("  ".join(name.rjust(width) for name, width in zip(columns, widths, strict=True)))
    for row in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def _text(value: Value) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
        case int():
            return f"{value:,}"
        case _:
            return value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
