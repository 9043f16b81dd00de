"""Read holds: what is held stays readable, and nothing else is promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.objects import StoredCollection
from controllers.read_holds import HoldTooOldError, ReadHold, ReadHolds
from controllers.storage_collections import StorageCollections
from core.ids import GlobalId, Timestamp, new_shard_id


def test_a_hold_keeps_the_floor_until_it_is_released() -> None:
    holds = ReadHolds()
    held = holds.acquire(Timestamp(10))
    with holds.acquire(Timestamp(10)):
        assert holds.count == 2
    assert holds.advance_floor(Timestamp(20)) == 10
    held.release()
    held.release()
    assert holds.count == 0
    assert holds.advance_floor(Timestamp(20)) == 20
    assert holds.advance_floor(Timestamp(15)) == 20
    with pytest.raises(HoldTooOldError):
        holds.acquire(Timestamp(19))


@given(st.lists(st.tuples(st.sampled_from(["acquire", "release", "advance"]), st.integers(0, 30))))
def test_no_since_passes_a_hold(steps: list[tuple[str, int]]) -> None:
    holds = ReadHolds()
    held: list[ReadHold] = []
    floor = 0
    for action, number in steps:
        if action == "acquire":
            try:
                held.append(holds.acquire(Timestamp(number)))
            except HoldTooOldError:
                assert number < floor
        elif action == "release" and held:
            held.pop(number % len(held)).release()
        elif action == "advance":
            advanced = holds.advance_floor(Timestamp(number))
            assert advanced >= floor
            floor = advanced
        assert all(hold.ts >= floor for hold in held)


def test_sinces_lag_behind_the_newest_commit() -> None:
    holds = ReadHolds()
    upper = Timestamp(5_000_001)
    collections = StorageCollections(holds, lambda: upper, lambda: 1_000_000)
    assert collections.since_of(new_shard_id()) == 4_000_000
    with holds.acquire(Timestamp(4_500_000)):
        upper = Timestamp(9_000_001)
        assert collections.since() == 4_500_000
    assert collections.since() == 8_000_000


def test_a_collection_that_retains_history_can_be_read_longer() -> None:
    holds = ReadHolds()
    upper = Timestamp(50_000_001)
    collections = StorageCollections(holds, lambda: upper, lambda: 1_000_000)
    kept, other = (
        StoredCollection(GlobalId(f"u{number}"), new_shard_id(), Timestamp(5_000_000))
        for number in range(2)
    )
    collections.retain(kept.shard, 20_000_000, Timestamp(5_000_000))
    assert collections.since_of_all([kept]) == 30_000_000
    assert collections.since_of_all([kept, other]) == 49_000_000
    with pytest.raises(HoldTooOldError):
        holds.acquire(Timestamp(30_000_000), collections.since_of_all([kept, other]))
    with holds.acquire(Timestamp(30_000_000), collections.since_of_all([kept])):
        upper = Timestamp(60_000_001)
        assert collections.since_of(kept.shard) == 30_000_000
    assert collections.since_of(kept.shard) == 40_000_000
    assert collections.since_of(other.shard) == 59_000_000
    collections.retain(kept.shard, 0, Timestamp(0))
    assert collections.since_of(kept.shard) == 59_000_000
    collections.retain(kept.shard, 20_000_000, Timestamp(0))
    assert collections.since_of(kept.shard) == 59_000_000
    young = StoredCollection(GlobalId("u9"), new_shard_id(), Timestamp(59_500_000))
    assert collections.since_of_all([young, kept]) == 59_500_000
