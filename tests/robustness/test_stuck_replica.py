"""A replica that hangs: it is replaced, and whoever waited for it gets an answer."""

import psycopg
import pytest

from tests.processes import replicas
from tests.running_server import HeadwaterServer


@pytest.mark.long
def test_a_replica_that_hangs_is_replaced(headwater_server: HeadwaterServer) -> None:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (a int)")
        connection.execute("INSERT INTO kept VALUES (1), (2)")
        assert connection.execute("SELECT sum(a) FROM kept").fetchone() == (3,)
        before = {replica.pid for replica in replicas(headwater_server.pid)}
        for replica in replicas(headwater_server.pid):
            replica.suspend()
        assert connection.execute("SELECT sum(a) FROM kept").fetchone() == (3,)
        assert connection.execute("SELECT count(*) > 0 FROM mz_tables").fetchone() == (True,)
        assert before.isdisjoint(replica.pid for replica in replicas(headwater_server.pid))
