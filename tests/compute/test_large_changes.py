"""Changes that are stepped in parts, with what they do to groups left to the end."""

from hypothesis import given, settings

import expr.library  # noqa: F401
from compute.dataflow.build import build
from compute.dataflow.updates import consolidate
from core.ids import GlobalId, Timestamp
from core.rows import codec_for
from expr.relation import Relation
from tests.compute.changes import Batch, batches
from tests.compute.naive import CONTEXT, Multiset, encoded_multiset, naive
from tests.compute.relations import TABLES, relations

ENCODE = {id: codec_for(types).encode for id, types in TABLES.items()}


@settings(max_examples=300, deadline=None)
@given(relation=relations(depth=3), changes=batches())
def test_parts_add_up_to_the_change(relation: Relation, changes: list[Batch]) -> None:
    dataflow = build(relation, CONTEXT)
    tables: dict[GlobalId, Multiset] = {id: [] for id in TABLES}
    dataflow.defer()
    maintained = list(dataflow.start(Timestamp(1)))
    for number, batch in enumerate(changes, start=2):
        for id, updates in batch.items():
            tables[id] = consolidate(tables[id] + updates, ENCODE[id])
            for update in updates if id in dataflow.source_ids else ():
                maintained += dataflow.step(Timestamp(number), {id: [update]})
        while (settled := dataflow.settle(1)) is not None:
            maintained += settled
        expected = naive(relation, tables)
        assert encoded_multiset(maintained, relation) == encoded_multiset(expected, relation)
        assert dataflow.errors.first() is None
        dataflow.defer()
