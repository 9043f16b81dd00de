"""Random changes of the tables of random relations."""

from hypothesis import strategies as st

from compute.dataflow.updates import Updates
from core.ids import GlobalId
from core.rows import Row
from tests.compute.relations import TABLES, rows

Batch = dict[GlobalId, Updates]


@st.composite
def batches(draw: st.DrawFn, max_size: int = 4) -> list[Batch]:
    """Changes of the tables, none of which removes what is not there."""
    contents: dict[GlobalId, list[Row]] = {id: [] for id in TABLES}
    found = []
    for _ in range(draw(st.integers(1, max_size))):
        batch: Batch = {}
        for id, types in TABLES.items():
            updates: Updates = []
            present = contents[id]
            for _ in range(draw(st.integers(0, 3)) if present else 0):
                if present:
                    index = draw(st.integers(0, len(present) - 1))
                    updates.append((present.pop(index), -1))
            for row in draw(st.lists(rows(types), max_size=4)):
                present.append(row)
                updates.append((row, 1))
            if updates:
                batch[id] = draw(st.permutations(updates))
        found.append(batch)
    return found
