"""Changes of a time are consolidated, few or many, and what they take is estimated."""

from collections import Counter
from random import Random

from compute.dataflow.updates import Updates
from compute.maintained.row_changes import CHANGE_OVERHEAD_BYTES, SMALL_COUNT, RowChanges
from core.rows import codec_for
from core.sql_types import INT4, NUMERIC

CODEC = codec_for((INT4, NUMERIC))


def test_many_changes_are_what_few_would_be() -> None:
    random = Random(7)
    changes = RowChanges(CODEC.encode)
    expected: Counter[bytes] = Counter()
    for _ in range(60):
        updates: Updates = [
            ((random.randrange(2 * SMALL_COUNT), None), random.choice((-1, 1, 2)))
            for _ in range(1000)
        ]
        changes.add(updates)
        for row, diff in updates:
            expected[CODEC.encode(row)] += diff
        known = {name: diff for name, (_, diff) in changes}
        assert known == {name: diff for name, diff in expected.items() if diff}
    assert len(changes) > SMALL_COUNT
    assert all(CODEC.encode(row) == name for name, (row, _) in changes)
    counted = changes.size_bytes
    changes.measure()
    assert CHANGE_OVERHEAD_BYTES * len(changes) < changes.size_bytes < counted
    for _ in changes.budget.dismantle():
        pass
    assert len(changes) == 0
