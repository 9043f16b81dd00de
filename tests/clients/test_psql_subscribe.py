"""The real psql: SUBSCRIBE as a statement, in COPY and through a cursor."""

import os
import shutil
import subprocess

import pytest

from tests.running_server import HeadwaterServer

PSQL = shutil.which("psql")
TIMEOUT_S = 60.0

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(PSQL is None, reason="psql is not installed"),
]

SCRIPT = """
CREATE TABLE s (k int, v text);
INSERT INTO s VALUES (1, 'one'), (2, NULL);
SELECT mz_now() AS start FROM s LIMIT 1 \\gset
SELECT :start + 1 AS end \\gset
\\echo plain
SUBSCRIBE (SELECT k, v FROM s) WITH (SNAPSHOT) AS OF :start UP TO :end;
\\echo copy
COPY (SUBSCRIBE s AS OF :start UP TO :end) TO STDOUT (FORMAT csv);
\\echo cursor
BEGIN;
DECLARE c CURSOR FOR SUBSCRIBE s AS OF :start;
FETCH 1 c;
FETCH ALL c WITH (timeout = '100ms');
COMMIT;
DROP TABLE s;
"""


def test_all_three_ways(headwater_server: HeadwaterServer) -> None:
    assert PSQL is not None
    result = subprocess.run(
        [PSQL, "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", headwater_server.dsn],
        input=SCRIPT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, "PGCLIENTENCODING": "UTF8"},
        check=True,
    )
    _, plain, copied, fetched = (
        [line.partition(separator)[2] for line in part.splitlines()]
        for separator, part in zip("||,|", _parts(result.stdout), strict=True)
    )
    assert plain == ["1|1|one", "1|2|"]
    assert copied == ["1,1,one", "1,2,"]
    assert fetched == ["1|1|one", "1|2|"]


def _parts(output: str) -> list[str]:
    before, _, rest = output.partition("plain\n")
    plain, _, rest = rest.partition("copy\n")
    copied, _, fetched = rest.partition("cursor\n")
    return [before, plain, copied, fetched]
