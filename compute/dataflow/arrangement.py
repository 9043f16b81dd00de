"""Arrangements: a collection's rows by key, shared by every operator that looks them up.

Within a step an arrangement shows two things: the rows as of the last commit (`get`) and the
changes staged for the next one (`staged`), which is what the rules of differential operators are
written in. `commit(t)` folds the staged changes in. An arrangement that is read from outside its
dataflow also keeps a history, which answers reads at any time from `since` on; `compact` forgets
what nobody holds.

How rows are stored is nobody's business outside this module: most keys have one row, which is kept
bare; the others have a dict of what tells rows apart: from the rows themselves to multiplicities
where these do, else from their identities to both.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from sys import getsizeof
from typing import Any, Final

from compute.dataflow.history import History
from compute.dataflow.updates import Identity, Update, Updates, add_row, consolidate
from compute.execution import CHUNK_ROWS, Chunk
from compute.operators.keys import KeyFunction, same_row
from core.ids import MAX_TIMESTAMP, Timestamp
from core.rows import Datum, Row

SAMPLED_ROWS: Final = 64
DISMANTLED_AT_ONCE: Final = 2048
KEY_OVERHEAD_BYTES: Final = 110
ROW_OVERHEAD_BYTES: Final = 90
_Counted = dict[Row, int]
_Named = dict[Datum, Update]
_Weighted = _Counted | _Named


class Arrangement:
    """Rows by `key`. Rows whose key is None are left out when `skips_null` (a join's nulls)."""

    def __init__(self, key: KeyFunction, identity: Identity, *, skips_null: bool) -> None:
        self.key = key
        self._identity = identity
        self._is_exact = identity is same_row
        self._skips_null = skips_null
        self._groups: dict[Datum, Row | _Weighted] = {}
        self.staged: dict[Datum, Updates] = {}
        self._history: History | None = None
        self._holds: Counter[Timestamp] = Counter()
        self._row_bytes = 0
        self.row_count = 0

    @property
    def size_bytes(self) -> int:
        """What the arrangement occupies, estimated from the size of some of its rows."""
        per_row = self._row_bytes + ROW_OVERHEAD_BYTES
        size = len(self._groups) * KEY_OVERHEAD_BYTES + self.row_count * per_row
        return size if self._history is None else size + self._history.size_bytes

    @property
    def key_count(self) -> int:
        return len(self._groups)

    @property
    def since(self) -> Timestamp:
        """Reads at this time and later ones are right; MAX_TIMESTAMP without a history."""
        return MAX_TIMESTAMP if self._history is None else self._history.since

    @property
    def history_bytes(self) -> int:
        """What the history occupies, estimated."""
        return 0 if self._history is None else self._history.size_bytes

    def keep_history(self, since: Timestamp) -> None:
        """Answer reads at every time from `since` on, which nothing was committed after yet."""
        self._history = History(since)

    def probe(self, key: Datum) -> bool:
        """Whether any row has that key."""
        return key in self._groups

    def get(self, key: Datum) -> Iterable[Update]:
        """The rows of a key as of the last commit, with their multiplicities."""
        group = self._groups.get(key)
        if group is None:
            return ()
        if isinstance(group, dict):
            return self._entries(group)
        return ((group, 1),)

    def joined(self, updates: Updates, key_of: KeyFunction) -> Updates:
        """Each update with each row of its key as of the last commit; a key of None has none."""
        groups, entries = self._groups, self._entries
        out: Updates = []
        for row, diff in updates:
            key = key_of(row)
            group: Any = None if key is None else groups.get(key)
            if group is None:
                continue
            if isinstance(group, dict):
                out += [(row + other, diff * weight) for other, weight in entries(group)]
            else:
                out.append((row + group, diff))
        return out

    def get_at(self, key: Datum, ts: Timestamp) -> Iterable[Update]:
        """The rows of a key at a time from `since` on."""
        history = self._history
        if history is None or not history.has_touched(key, ts):
            return self.get(key)
        return consolidate(chain(self.get(key), history.undoing(key, ts)), self._identity)

    def changes_at(self, ts: Timestamp) -> Mapping[Datum, Updates]:
        """What the commits at a time after `since` changed, by key."""
        return {} if self._history is None else self._history.at(ts)

    def times_after(self, ts: Timestamp) -> list[Timestamp]:
        """The times after `ts` (not before `since`) that have changes, in order."""
        return [] if self._history is None else self._history.times_after(ts)

    def scan(self) -> Iterator[Update]:
        """Every row as of the last commit; the arrangement must not change meanwhile."""
        for group in self._groups.values():
            if isinstance(group, dict):
                yield from self._entries(group)
            else:
                yield group, 1

    def scan_at(self, ts: Timestamp) -> Iterator[Chunk]:
        """Every row at a time from `since` on. The caller holds `ts` while it iterates; commits may
        happen in between. The first step lists the keys: some ns for each."""
        touched = set() if self._history is None else self._history.touched_after(ts)
        keys = list(self._groups)
        groups: list[Any] = list(self._groups.values())
        for start in range(0, len(keys), CHUNK_ROWS):
            stop = start + CHUNK_ROWS
            names, some = keys[start:stop], groups[start:stop]
            if touched.isdisjoint(names) and dict not in set(map(type, some)):
                yield Chunk(some, None)  # rows do not change, whatever happens to the key
                continue
            found: Updates = []
            for key, group in zip(names, some, strict=True):
                if isinstance(group, dict) or key in touched:
                    found += self.get_at(key, ts)
                else:
                    found.append((group, 1))
            yield _chunk(found)
        for key in touched.difference(keys):
            yield _chunk(self.get_at(key, ts))

    def stage(self, updates: Updates) -> None:
        """Add to what the next commit changes."""
        key_of, staged = self.key, self.staged
        skips_null = self._skips_null
        for update in updates:
            key = key_of(update[0])
            if key is None and skips_null:
                continue
            known = staged.get(key)
            if known is None:
                staged[key] = [update]
            else:
                known.append(update)

    def unstage(self) -> None:
        """Forget what is staged."""
        self.staged = {}

    def commit(self, ts: Timestamp) -> None:
        """Fold in what is staged, as the change at `ts`; times never go back."""
        staged = self.staged
        if not staged:
            return
        if not self._row_bytes:
            self._measure(staged)
        groups = self._groups
        fold = self._fold_exact if self._is_exact else self._fold_named
        for key, updates in staged.items():
            group = groups.get(key)
            if group is None and len(updates) == 1 and updates[0][1] == 1:
                groups[key] = updates[0][0]
                self.row_count += 1
            else:
                fold(key, group, updates)
        if self._history is not None:
            self._history.record(ts, staged)
        self.staged = {}

    def hold(self, ts: Timestamp) -> None:
        """Keep reads at `ts` (not before `since`) possible until `release`."""
        self._holds[ts] += 1

    def release(self, ts: Timestamp) -> None:
        """Give back a hold."""
        self._holds[ts] -= 1
        if not self._holds[ts]:
            del self._holds[ts]

    @property
    def is_held(self) -> bool:
        return bool(self._holds)

    def dismantle(self) -> Iterator[None]:
        """Give back the memory in bounded steps; nobody reads any more."""
        self._history = None
        groups = self._groups
        while groups:
            for _ in range(min(len(groups), DISMANTLED_AT_ONCE)):
                groups.popitem()
            yield

    def compact(self, since: Timestamp) -> Iterator[None]:
        """Forget the history before `since` as far as holds allow, in the bounded steps that are
        returned; reads before it are over at once."""
        if self._history is None:
            return iter(())
        return self._history.compact(min((since, *self._holds)))

    def _entries(self, group: Any) -> Iterable[Update]:
        entries: Iterable[Update] = group.items() if self._is_exact else group.values()
        return entries

    def _fold_exact(self, key: Datum, group: Any, updates: Updates) -> None:
        counted: _Counted = group if isinstance(group, dict) else {}
        before = 0
        if group is not None:
            if group is not counted:
                counted[group] = 1
            before = len(counted)
        for row, diff in updates:
            count = counted.get(row, 0) + diff
            if count:
                counted[row] = count
            else:
                counted.pop(row, None)
        self._keep(key, counted, before)

    def _fold_named(self, key: Datum, group: Any, updates: Updates) -> None:
        identity = self._identity
        named: _Named = group if isinstance(group, dict) else {}
        before = 0
        if group is not None:
            if group is not named:
                named[identity(group)] = (group, 1)
            before = len(named)
        for row, diff in updates:
            add_row(named, identity(row), row, diff)
        self._keep(key, named, before)

    def _keep(self, key: Datum, group: Any, before: int) -> None:
        """Store a group that had `before` different rows; one that has one row is kept bare."""
        self.row_count += len(group) - before
        if len(group) > 1:
            self._groups[key] = group
            return
        if not group:
            self._groups.pop(key, None)
            return
        ((row, weight),) = self._entries(group)
        self._groups[key] = row if weight == 1 else group

    def _measure(self, staged: dict[Datum, Updates]) -> None:
        sample = [updates[0][0] for updates, _ in zip(staged.values(), range(SAMPLED_ROWS))]
        total = sum(getsizeof(row) + sum(map(getsizeof, row)) for row in sample)
        self._row_bytes = total // len(sample)


def _chunk(updates: Iterable[Update]) -> Chunk:
    found = list(updates)
    return Chunk([row for row, _ in found], [weight for _, weight in found])
