"""A session's transaction without I/O: what may follow what, savepoints, bounds."""

import pytest

from coordinator.committer import TableWrite
from core.errors import SqlError
from core.ids import GlobalId
from frontend.settings import SessionSettings, default_values
from frontend.transaction import MAX_SAVEPOINTS, Transaction, TransactionStatus
from persist.batches import inline_batch

T, U = GlobalId("u1"), GlobalId("u2")
SETTINGS = SessionSettings(default_values({})).snapshot()


def write(table: GlobalId) -> TableWrite:
    return TableWrite(table, inline_batch([(b"row", 1)]))


def begun() -> Transaction:
    transaction = Transaction()
    transaction.start(TransactionStatus.EXPLICIT, 0, "strict serializable", False)
    return transaction


def test_status_bytes() -> None:
    transaction = Transaction()
    assert transaction.wire_status == "I"
    transaction.start(TransactionStatus.IMPLICIT, 0, "serializable", False)
    assert transaction.wire_status == "I"
    assert not transaction.is_block
    transaction.status = TransactionStatus.EXPLICIT
    assert transaction.wire_status == "T"
    transaction.status = TransactionStatus.FAILED
    assert transaction.wire_status == "E"


def test_what_was_written_cannot_be_read() -> None:
    transaction = begun()
    transaction.add_write(write(T), 1)
    transaction.check_readable(frozenset({U}))
    with pytest.raises(SqlError) as caught:
        transaction.check_readable(frozenset({T, U}))
    assert (caught.value.sqlstate, caught.value.message) == (
        "25000",
        "transaction in write-only mode",
    )
    with pytest.raises(SqlError) as caught:
        transaction.check_no_staged_reads(frozenset({T}), "DELETE FROM t")
    assert caught.value.sqlstate == "25001"


def test_writes_given_up_are_discarded_and_writes_handed_over_are_not() -> None:
    discarded: list[TableWrite] = []
    transaction = Transaction(discard=discarded.extend)
    transaction.start(TransactionStatus.EXPLICIT, 0, "strict serializable", False)
    first, second, third = write(T), write(U), write(T)
    transaction.add_write(first, 1)
    transaction.save("s", SETTINGS)
    transaction.add_write(second, 1)
    transaction.roll_back_to("s")
    assert discarded == [second]
    assert transaction.take_writes() == (first,)
    transaction.clear()
    assert discarded == [second]
    transaction.start(TransactionStatus.EXPLICIT, 0, "strict serializable", False)
    transaction.add_write(third, 1)
    transaction.clear()
    assert discarded == [second, third]


def test_read_only() -> None:
    transaction = begun()
    transaction.is_read_only = True
    with pytest.raises(SqlError) as caught:
        transaction.check_writable("INSERT")
    assert (caught.value.sqlstate, caught.value.message) == (
        "25006",
        "cannot execute INSERT in a read-only transaction",
    )


def test_the_oldest_plan_counts() -> None:
    transaction = begun()
    transaction.add_write(write(T), 7)
    transaction.add_write(write(T), 5)
    transaction.add_write(write(T), 9)
    assert transaction.planned_revision == 5


def test_savepoints() -> None:
    transaction = begun()
    transaction.add_write(write(T), 1)
    transaction.save("a", SETTINGS)
    transaction.add_write(write(T), 1)
    transaction.save("b", SETTINGS)
    transaction.save("a", SETTINGS)
    transaction.add_write(write(U), 1)
    transaction.status = TransactionStatus.FAILED
    transaction.roll_back_to("a")
    assert transaction.status is TransactionStatus.EXPLICIT
    assert len(transaction.writes) == 2
    transaction.release("a")
    transaction.roll_back_to("a")
    assert len(transaction.writes) == 1
    with pytest.raises(SqlError) as caught:
        transaction.release("b")
    assert caught.value.sqlstate == "3B001"


def test_savepoints_are_bounded() -> None:
    transaction = begun()
    for _ in range(MAX_SAVEPOINTS):
        transaction.save("s", SETTINGS)
    with pytest.raises(SqlError) as caught:
        transaction.save("s", SETTINGS)
    assert caught.value.sqlstate == "54000"


def test_clear_leaves_nothing() -> None:
    transaction = begun()
    transaction.add_write(write(T), 1)
    transaction.reads.add(U)
    transaction.save("s", SETTINGS)
    transaction.clear()
    fresh = Transaction()
    for name in ("status", "as_of", "hold", "reads", "writes", "savepoints", "has_run"):
        assert getattr(transaction, name) == getattr(fresh, name)
