"""The checkers themselves: each anomaly they exist for is found, and clean histories pass."""

import pytest

from tests.consistency.dependency_graph import find_anomalies
from tests.consistency.history import Append, Outcome, Read, Transaction, Use
from tests.consistency.timestamp_replay import find_replay_anomalies


def transaction(
    id: int,
    span: tuple[int, int],
    *,
    appends: tuple[Append, ...] = (),
    reads: tuple[Read, ...] = (),
    uses: tuple[Use, ...] = (),
    outcome: Outcome = Outcome.COMMITTED,
    timestamp: int | None = None,
) -> Transaction:
    return Transaction(id, *span, outcome, appends, reads, uses, timestamp)


def read(key: str, *values: int, is_ordered: bool = False) -> Read:
    return Read(key, values, is_ordered)


def test_sequential_history_is_clean() -> None:
    history = [
        transaction(1, (0, 1), appends=(Append("x", 1),), timestamp=10),
        transaction(2, (2, 3), reads=(read("x", 1),), timestamp=10),
        transaction(3, (4, 5), appends=(Append("x", 2),), timestamp=11),
        transaction(4, (6, 7), reads=(read("x", 1, 2),), timestamp=11),
    ]
    assert find_anomalies(history) == []
    assert find_replay_anomalies(history) == []


def test_concurrent_transactions_may_take_either_order() -> None:
    history = [
        transaction(1, (0, 9), appends=(Append("x", 1),), timestamp=10),
        transaction(2, (1, 2), reads=(read("x"),), timestamp=9),
        transaction(3, (3, 4), reads=(read("x", 1),), timestamp=10),
    ]
    assert find_anomalies(history) == []
    assert find_replay_anomalies(history) == []


def test_a_write_does_not_read_itself_though_a_reader_at_its_time_does() -> None:
    history = [
        transaction(1, (0, 3), appends=(Append("x", 1),), reads=(read("x"),), timestamp=10),
        transaction(2, (1, 4), reads=(read("x", 1),), timestamp=10),
    ]
    assert find_anomalies(history) == []
    assert find_replay_anomalies(history) == []


STALE_READ = [
    transaction(1, (0, 1), appends=(Append("x", 1),), timestamp=10),
    transaction(2, (2, 3), reads=(read("x"),), timestamp=9),
]
LOST_WRITE = [
    transaction(1, (0, 1), appends=(Append("x", 1),), timestamp=10),
    transaction(2, (8, 9), reads=(read("x"),), timestamp=12),
]
FRACTURED_READ = [
    transaction(1, (0, 9), appends=(Append("x", 1), Append("y", 2)), timestamp=10),
    transaction(2, (1, 8), reads=(read("x", 1), read("y")), timestamp=10),
]
WRITE_SKEW = [
    transaction(1, (0, 9), appends=(Append("x", 1),), reads=(read("y"),), timestamp=10),
    transaction(2, (0, 9), appends=(Append("y", 2),), reads=(read("x"),), timestamp=11),
]
LOST_UPDATE = [
    transaction(
        1, (0, 9), appends=(Append("x", 1),), reads=(read("x", is_ordered=True),), timestamp=10
    ),
    transaction(
        2, (0, 9), appends=(Append("x", 2),), reads=(read("x", is_ordered=True),), timestamp=11
    ),
    transaction(3, (10, 11), reads=(read("x", 2, is_ordered=True),), timestamp=11),
]
LONG_FORK = [
    transaction(1, (0, 9), appends=(Append("x", 1),), timestamp=10),
    transaction(2, (0, 9), appends=(Append("y", 2),), timestamp=11),
    transaction(3, (1, 8), reads=(read("x", 1), read("y")), timestamp=10),
    transaction(4, (1, 8), reads=(read("x"), read("y", 2)), timestamp=10),
]


@pytest.mark.parametrize(
    "history", [STALE_READ, LOST_WRITE, FRACTURED_READ, WRITE_SKEW, LOST_UPDATE, LONG_FORK]
)
def test_each_anomaly_is_a_cycle_and_fails_the_replay(history: list[Transaction]) -> None:
    assert [anomaly.kind for anomaly in find_anomalies(history)] == ["cycle"]
    assert find_replay_anomalies(history)


def test_reordered_reads_of_one_key_are_incompatible() -> None:
    history = [
        transaction(1, (0, 9), appends=(Append("x", 1),)),
        transaction(2, (0, 9), appends=(Append("x", 2),)),
        transaction(3, (0, 9), reads=(read("x", 1, 2, is_ordered=True),)),
        transaction(4, (0, 9), reads=(read("x", 2, is_ordered=True),)),
    ]
    assert "incompatible order" in {anomaly.kind for anomaly in find_anomalies(history)}


def test_values_are_checked_one_by_one() -> None:
    history = [
        transaction(1, (0, 1), appends=(Append("x", 1),), outcome=Outcome.FAILED),
        transaction(2, (2, 3), appends=(Append("x", 2),)),
        transaction(3, (4, 5), reads=(read("x", 1, 2, 2, 3),)),
    ]
    kinds = [anomaly.kind for anomaly in find_anomalies(history)]
    assert kinds == ["duplicate", "aborted read", "unwritten value"]


def test_indeterminate_write_may_appear_or_not_but_never_flicker() -> None:
    write = transaction(1, (0, 1), appends=(Append("x", 1),), outcome=Outcome.INDETERMINATE)
    absent = [write, transaction(2, (2, 3), reads=(read("x"),), timestamp=10)]
    late = [*absent, transaction(3, (4, 5), reads=(read("x", 1),), timestamp=11)]
    flickers = [*late, transaction(4, (6, 7), reads=(read("x"),), timestamp=12)]
    assert find_anomalies(absent) == find_replay_anomalies(absent) == []
    assert find_anomalies(late) == find_replay_anomalies(late) == []
    assert [anomaly.kind for anomaly in find_anomalies(flickers)] == ["cycle"]
    assert [a.kind for a in find_replay_anomalies(flickers)] == ["flickering write"]


def test_use_after_drop_is_found() -> None:
    drop = transaction(1, (0, 9), uses=(Use("t", is_drop=True),), timestamp=10)
    before = transaction(2, (0, 9), uses=(Use("t", is_drop=False),), timestamp=10)
    after = transaction(3, (0, 9), uses=(Use("t", is_drop=False),), timestamp=11)
    assert find_replay_anomalies([drop, before]) == []
    assert [a.kind for a in find_replay_anomalies([drop, after])] == ["use after drop"]
