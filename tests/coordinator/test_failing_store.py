"""DDL and writes on a store that loses requests and answers, with crashes and takeovers between.

Everything acknowledged is there after each reopening; everything not acknowledged is whole or
absent; the catalog and its tables agree.
"""

import asyncio
import random

import pytest

from catalog.consistency import find_inconsistencies
from catalog.operations import CatalogChangedError, DropItems, RenameItem
from coordinator.committer import TableWrite
from core.errors import SqlError, StorageError
from core.ids import GlobalId
from persist.faults import FaultRates
from tests.catalog.catalogs import table
from tests.coordinator.memory_environment import MemoryEnvironment, MemoryProcess, numbers

RATES = FaultRates(
    lost_request=0.1, lost_answer=0.1, late_landing=0.05, conflict=0.05, delay_turns=3
)
PROCESSES = 3
CLIENTS = 4
STATEMENTS = 10


class Client:
    """One client: it creates, fills and drops tables and remembers what it was told."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.made = 0
        self.tables: dict[str, set[int]] = {}
        self.unsure_tables: set[str] = set()
        self.unsure_values: set[int] = set()
        self.next_value = 0

    async def run(self, process: MemoryProcess, rng: random.Random) -> None:
        for _ in range(STATEMENTS):
            try:
                await self._statement(process, rng)
            except (SqlError, CatalogChangedError, StorageError):
                await asyncio.sleep(0)

    async def _statement(self, process: MemoryProcess, rng: random.Random) -> None:
        choice = rng.random()
        if not self.tables or choice < 0.3:
            name = f"t{self.number}_{self.made}"
            self.made += 1
            self.unsure_tables.add(name)
            await process.create(table(name))
            self.unsure_tables.discard(name)
            self.tables[name] = set()
            return
        name = rng.choice(sorted(self.tables))
        found = find(process, name)
        assert found is not None, f"{name} was acknowledged and is gone"
        if choice < 0.4:
            values = self.tables.pop(name)
            self.unsure_tables.add(name)
            self.unsure_values |= values
            await process.transact(DropItems((found,)))
            self.unsure_tables.discard(name)
        elif choice < 0.5:
            new = f"t{self.number}_{self.made}"
            self.made += 1
            values = self.tables.pop(name)
            self.unsure_tables |= {name, new}
            self.unsure_values |= values
            await process.transact(RenameItem(found, new))
            self.unsure_tables -= {name, new}
            self.tables[new] = values
        else:
            value = self.number * 100_000 + self.next_value
            self.next_value += 1
            self.unsure_values.add(value)
            await process.write(TableWrite(found, numbers(value)))
            self.unsure_values.discard(value)
            self.tables[name].add(value)

    async def check(self, process: MemoryProcess) -> None:
        for name, values in self.tables.items():
            found = find(process, name)
            assert found is not None, f"{name} was acknowledged and is gone"
            rows = await process.rows(process.catalog.shard_of(found))
            assert len(rows) == len(set(rows)), f"{name} holds a row twice"
            assert values <= set(rows), f"{name} lost {values - set(rows)}"
            assert set(rows) - values <= self.unsure_values


def find(process: MemoryProcess, name: str) -> GlobalId | None:
    view = process.catalog.for_connection(None)
    found = view.resolve_item("materialize", ("public",), (name,))
    return None if found is None else found.id


@pytest.mark.parametrize("seed", range(8))
async def test_acknowledged_changes_survive(seed: int) -> None:
    rng = random.Random(seed)
    environment = MemoryEnvironment()
    clients = [Client(number) for number in range(CLIENTS)]
    for number in range(PROCESSES):
        try:
            async with environment.process(RATES, seed=seed * 100 + number) as process:
                for client in clients:
                    await client.check(process)
                assert find_inconsistencies(process.catalog, frozenset()) == ()
                await asyncio.gather(*(client.run(process, rng) for client in clients))
        except StorageError:
            continue  # the process could not even start: the next one takes over
    async with environment.process() as process:
        for client in clients:
            await client.check(process)
            for name in client.tables:
                assert find(process, name) is not None
        assert find_inconsistencies(process.catalog, frozenset()) == ()
        known = {name for c in clients for name in (*c.tables, *c.unsure_tables)}
        present = {e.record.name for e in process.catalog.items.values() if not e.record.is_system}
        assert present <= known
