"""Arrangements read at recent times, while they go on changing."""

from itertools import chain, islice

from hypothesis import given
from hypothesis import strategies as st

from compute.dataflow.arrangement import Arrangement
from compute.dataflow.updates import Updates, consolidate
from compute.execution import Chunk
from compute.operators.keys import group_key, identity_key
from core.ids import GlobalId, Timestamp
from core.rows import Row, codec_for
from expr.relation import Get
from tests.compute.naive import Multiset, encoded_multiset
from tests.compute.relations import TABLES, rows

ID = GlobalId("u2")
TYPES = TABLES[ID]


@st.composite
def batches(draw: st.DrawFn) -> list[Updates]:
    """Changes that remove nothing that is not there."""
    present: list[Row] = []
    found = []
    for _ in range(draw(st.integers(1, 5))):
        updates: Updates = []
        for _ in range(draw(st.integers(0, 3)) if present else 0):
            if present:
                updates.append((present.pop(draw(st.integers(0, len(present) - 1))), -1))
        for row in draw(st.lists(rows(TYPES), max_size=4)):
            present.append(row)
            updates.append((row, 1))
        found.append(updates)
    return found


def updates_of(chunk: Chunk) -> Updates:
    rows, weights = chunk
    return [(row, 1 if weights is None else weights[n]) for n, row in enumerate(rows)]


@given(changes=batches())
def test_an_arrangement_can_be_read_at_every_held_time(changes: list[Updates]) -> None:
    encode = codec_for(TYPES).encode
    arrangement = Arrangement(group_key([(0, TYPES[0])]), identity_key(TYPES), skips_null=False)
    arrangement.keep_history(Timestamp(0))
    contents: list[Multiset] = [[]]
    scans = []
    for number, updates in enumerate(changes):
        arrangement.hold(Timestamp(number))
        scan = map(updates_of, arrangement.scan_at(Timestamp(number)))
        scans.append(chain.from_iterable(chain(list(islice(scan, 1)), scan)))
        arrangement.stage(updates)
        arrangement.commit(Timestamp(number + 1))
        for _ in arrangement.compact(Timestamp(number + 1)):
            pass
        contents.append(consolidate(contents[-1] + updates, encode))
    relation = Get(ID, TYPES)
    for number, expected in enumerate(contents):
        if number < len(scans):
            begun_before = list(scans[number])
            assert encoded_multiset(begun_before, relation) == encoded_multiset(expected, relation)
        seen = list(chain.from_iterable(map(updates_of, arrangement.scan_at(Timestamp(number)))))
        assert encoded_multiset(seen, relation) == encoded_multiset(expected, relation)
        for key in {row[0] for row, _ in expected}:
            group = [(row, diff) for row, diff in expected if row[0] == key]
            got = list(arrangement.get_at(key, Timestamp(number)))
            assert encoded_multiset(got, relation) == encoded_multiset(group, relation)
    for number in range(len(changes)):
        arrangement.release(Timestamp(number))
        for _ in arrangement.compact(Timestamp(number + 1)):
            pass
        assert arrangement.since == number + 1
    assert sum(weight for _, weight in arrangement.scan()) == sum(w for _, w in contents[-1])
