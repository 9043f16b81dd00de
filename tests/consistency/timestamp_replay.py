"""The white-box checker: replay commits in the order of their timestamps.

Every read must equal the state at its timestamp, timestamps must respect real time, and nothing may
use an object at a time past its drop. Linear in the history, and independent of the cycle search.
A write of unknown outcome has no timestamp: reads that show it must all be later than those that
do not. Source of the method: the kvnemesis tester of CockroachDB.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.consistency.history import Anomaly, Outcome, Transaction


@dataclass(slots=True)
class _Bounds:
    """Between which reads a write of unknown time must lie."""

    unseen_until: int = -1
    seen_from: int | None = None


def find_replay_anomalies(history: Sequence[Transaction]) -> list[Anomaly]:
    """Every disagreement between the history and its replay."""
    timed = [t for t in history if t.outcome is Outcome.COMMITTED and t.timestamp is not None]
    return [
        *_check_reads(history, timed),
        *_check_real_time(timed),
        *_check_drops(timed),
    ]


def _timestamp(transaction: Transaction) -> int:
    assert transaction.timestamp is not None
    return transaction.timestamp


def _reads_at(transaction: Transaction) -> int:
    """The last commit time that the transaction's reads may show: its own commit is none."""
    return _timestamp(transaction) - (1 if transaction.is_write else 0)


def _check_reads(history: Sequence[Transaction], timed: Sequence[Transaction]) -> Iterable[Anomaly]:
    """A read-only transaction sees commits at its own time; a writing one only earlier ones."""
    commits = sorted((t for t in timed if t.appends), key=_timestamp)
    timed_ids = {t.id for t in commits}
    untimed_keys: dict[int, str] = {
        append.value: append.key
        for t in history
        if t.id not in timed_ids and t.outcome is not Outcome.FAILED
        for append in t.appends
    }
    bounds: dict[int, _Bounds] = defaultdict(_Bounds)
    values_of_key: dict[str, list[int]] = defaultdict(list)
    for value, key in untimed_keys.items():
        values_of_key[key].append(value)
    contents: dict[str, list[int]] = defaultdict(list)
    position = 0
    for reader in sorted((t for t in timed if t.reads), key=_reads_at):
        at = _reads_at(reader)
        while position < len(commits) and _timestamp(commits[position]) <= at:
            for append in commits[position].appends:
                contents[append.key].append(append.value)
            position += 1
        for read in reader.reads:
            expected = contents[read.key]
            known = [value for value in read.values if value not in untimed_keys]
            matches = known == expected if read.is_ordered else sorted(known) == sorted(expected)
            if not matches:
                yield Anomaly(
                    "replay",
                    f"T{reader.id} at {at} read {read.key} = {known}, replay says {expected}",
                )
            seen = set(read.values)
            for value in values_of_key[read.key]:
                bound = bounds[value]
                if value in seen:
                    bound.seen_from = at if bound.seen_from is None else min(bound.seen_from, at)
                else:
                    bound.unseen_until = max(bound.unseen_until, at)
    for value, bound in bounds.items():
        if bound.seen_from is not None and bound.unseen_until >= bound.seen_from:
            yield Anomaly(
                "flickering write",
                f"{value} was there at {bound.seen_from} and gone at {bound.unseen_until}",
            )


def _check_real_time(timed: Sequence[Transaction]) -> Iterable[Anomaly]:
    events = sorted(
        [(t.started_ns, 0, t) for t in timed] + [(t.ended_ns, 1, t) for t in timed],
        key=lambda event: event[:2],
    )
    last_write, last_read = -1, -1
    for _, is_end, transaction in events:
        timestamp = _timestamp(transaction)
        if is_end and transaction.is_write:
            last_write = max(last_write, timestamp)
        elif is_end:
            last_read = max(last_read, timestamp)
        elif transaction.is_write and timestamp <= max(last_write, last_read):
            yield Anomaly(
                "time went back",
                f"T{transaction.id} wrote at {timestamp} after {max(last_write, last_read)}",
            )
        elif not transaction.is_write and timestamp < max(last_write, last_read):
            yield Anomaly(
                "stale read",
                f"T{transaction.id} read at {timestamp} after {max(last_write, last_read)}",
            )


def _check_drops(timed: Sequence[Transaction]) -> Iterable[Anomaly]:
    """At the time of the drop itself a use may come before it: one commit carries many."""
    dropped = {use.name: _timestamp(t) for t in timed for use in t.uses if use.is_drop}
    for transaction in timed:
        for use in transaction.uses:
            drop = dropped.get(use.name)
            if not use.is_drop and drop is not None and _timestamp(transaction) > drop:
                yield Anomaly(
                    "use after drop",
                    f"T{transaction.id} used {use.name} at {_timestamp(transaction)}, "
                    f"which was dropped at {drop}",
                )
