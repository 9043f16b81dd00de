"""The pure shard state machine: rules by example, and random commands replayed from diffs."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ids import MIN_TIMESTAMP, Timestamp
from persist.batches import Batch, BatchPart
from persist.shard_state import (
    Accepted,
    BecomeTombstone,
    CollectGarbage,
    Command,
    CompareAndAppend,
    DowngradeCritical,
    ExpireCritical,
    ExpireLeased,
    ExpireWriter,
    HeartbeatLeased,
    Merge,
    Refused,
    RegisterCritical,
    RegisterLeased,
    RegisterWriter,
    ShardBatch,
    ShardState,
    StateDiff,
    UpgradeVersion,
    UpperMismatch,
    apply_diff,
    transition,
)

EMPTY = ShardState()


def ts(value: int) -> Timestamp:
    return Timestamp(value)


def run(state: ShardState, *commands: Command) -> ShardState:
    for command in commands:
        outcome = transition(state, command)
        assert isinstance(outcome, Accepted), outcome
        if outcome.diff is not None:
            state = apply_diff(state, state.seqno + 1, outcome.diff)
    return state


def part(key: str) -> BatchPart:
    return BatchPart(None, key, 10, 1)


def batch(lower: int, upper: int, *keys: str, since: int = 0) -> ShardBatch:
    parts = tuple(part(key) for key in keys)
    return ShardBatch(0, ts(lower), ts(upper), ts(since), Batch(parts, len(parts)), ts(lower))


def append(lower: int, upper: int, *keys: str, token: str = "") -> CompareAndAppend:
    batches = (batch(lower, upper, *keys),) if keys else ()
    return CompareAndAppend("w", token or f"{lower}-{upper}", ts(lower), ts(upper), batches)


def test_appends_move_the_upper_from_where_it_is() -> None:
    state = run(EMPTY, append(0, 5, "a"), append(5, 9, "b"), append(9, 12))
    assert state.upper == 12
    assert [b.batch.keys for b in state.batches] == [("a",), ("b",)]
    assert len({b.id for b in state.batches}) == 2
    assert transition(state, append(5, 20, "c")) == UpperMismatch(ts(12))
    assert isinstance(transition(state, append(12, 12, "c")), Refused)
    reaching_back = CompareAndAppend("w", "t", ts(12), ts(20), (batch(3, 20, "c"),))
    assert isinstance(transition(state, reaching_back), Refused)


def test_a_writer_finds_its_own_success() -> None:
    state = run(EMPTY, append(0, 5, "a", token="mine"))
    assert transition(state, append(0, 5, "a", token="mine")) == Accepted(None, ts(5))
    assert transition(state, append(0, 5, "a", token="other")) == UpperMismatch(ts(5))


def test_the_since_is_the_least_of_all_readers() -> None:
    state = run(EMPTY, RegisterCritical("c", 1), append(0, 50, "a"), RegisterLeased("r", 100))
    state = run(state, DowngradeCritical("c", 1, ts(30)))
    assert state.since == MIN_TIMESTAMP
    state = run(state, HeartbeatLeased("r", 200, ts(10)))
    assert (state.since, state.leased_since) == (10, 10)
    state = run(state, ExpireLeased(("r", "unknown")))
    assert state.since == 30
    assert run(state, DowngradeCritical("c", 1, ts(20))).since == 30
    assert isinstance(transition(state, HeartbeatLeased("r", 300)), Refused)
    late = run(state, RegisterLeased("late", 1))
    assert late.leased["late"].since == 30


def test_a_higher_epoch_takes_the_critical_since_over() -> None:
    state = run(EMPTY, RegisterCritical("c", 1, ts(5)), RegisterCritical("c", 2))
    assert state.critical["c"].since == 5
    assert state.critical["c"].opaque == 2
    for stale in (
        RegisterCritical("c", 1),
        DowngradeCritical("c", 1, ts(9)),
        ExpireCritical("c", 1),
    ):
        assert isinstance(transition(state, stale), Refused)
    assert run(state, DowngradeCritical("c", 3, ts(9))).critical["c"].opaque == 3
    assert run(state, ExpireCritical("c", 2)).critical == {}


def test_an_append_carries_a_downgrade() -> None:
    command = msgspec.structs.replace(append(0, 9, "a"), downgrade=DowngradeCritical("c", 1, ts(4)))
    state = run(EMPTY, command)
    assert (state.upper, state.since, state.critical["c"].opaque) == (9, 4, 1)
    stale = msgspec.structs.replace(append(9, 12), downgrade=DowngradeCritical("c", 0, ts(5)))
    assert isinstance(transition(state, stale), Refused)


def test_merges_replace_batches_and_remember_their_blobs() -> None:
    state = run(EMPTY, append(0, 5, "a"), append(5, 9, "b"), append(9, 12, "c"))
    first, second, _ = state.batches
    merge = Merge((first.id, second.id), (batch(0, 9, "ab"),))
    merged = run(state, merge)
    assert [b.batch.keys for b in merged.batches] == [("c",), ("ab",)]
    assert [(item.key, item.seqno) for item in merged.garbage] == [("a", 4), ("b", 4)]
    assert isinstance(transition(merged, merge), Refused)
    kept = run(state, Merge((first.id,), (batch(0, 5, "a"),)))
    assert kept.garbage == ()
    early = Merge((first.id,), (batch(0, 5, "x", since=3),))
    assert isinstance(transition(state, early), Refused)
    downgrade = DowngradeCritical("c", 1, ts(3))
    assert run(state, msgspec.structs.replace(early, downgrade=downgrade)).since == 3


def test_garbage_waits_for_leased_readers() -> None:
    state = run(EMPTY, append(0, 5, "a"), RegisterLeased("old", 100))
    state = run(state, Merge((state.batches[0].id,), (batch(0, 5, "b"),)))
    assert state.collectible == ()
    state = run(state, RegisterLeased("new", 100))
    assert state.collectible == ()
    state = run(state, ExpireLeased(("old",)))
    assert [item.key for item in state.collectible] == ["a"]
    state = run(state, CollectGarbage(("a", "unknown")))
    assert state.garbage == ()
    assert transition(state, CollectGarbage(("a",))) == Accepted(None)


def test_a_tombstone_drops_everything_for_good() -> None:
    state = run(EMPTY, RegisterCritical("c", 1), append(0, 5, "a"), RegisterLeased("r", 1))
    state = run(state, BecomeTombstone(), BecomeTombstone())
    assert (state.batches, state.critical, state.leased, state.writers) == ((), {}, {}, {})
    assert [item.key for item in state.collectible] == ["a"]
    assert isinstance(transition(state, append(5, 9, "b")), Refused)
    assert isinstance(transition(state, RegisterCritical("c", 9)), Refused)
    assert run(state, CollectGarbage(("a",))).garbage == ()


def test_versions_only_rise() -> None:
    state = run(EMPTY, UpgradeVersion(7))
    assert transition(state, UpgradeVersion(7)) == Accepted(None)
    assert isinstance(transition(state, UpgradeVersion(6)), Refused)


names = st.sampled_from(["x", "y", "z"])
small = st.integers(0, 40).map(Timestamp)
commands = st.one_of(
    st.builds(RegisterCritical, names, st.integers(0, 3), small),
    st.builds(DowngradeCritical, names, st.integers(0, 3), small),
    st.builds(ExpireCritical, names, st.integers(0, 3)),
    st.builds(RegisterLeased, names, st.just(9)),
    st.builds(HeartbeatLeased, names, st.just(9), st.none() | small),
    st.builds(ExpireLeased, st.tuples(names)),
    st.builds(RegisterWriter, names, st.just(9)),
    st.builds(ExpireWriter, names),
    st.builds(UpgradeVersion, st.integers(1, 2)),
    st.just("append"),
    st.just("append"),
    st.just("merge"),
    st.just("collect"),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(commands, max_size=40), st.integers(0, 39))
def test_diffs_rebuild_the_state_from_any_rollup(steps: list[object], rollup_at: int) -> None:
    state, log, rollup = EMPTY, [], (0, EMPTY)
    deleted: set[str] = set()
    for number, step in enumerate(steps):
        outcome = transition(state, _concrete(state, step, number))
        if not isinstance(outcome, Accepted) or outcome.diff is None:
            continue
        before = state
        diff = msgspec.msgpack.decode(msgspec.msgpack.encode(outcome.diff), type=StateDiff)
        state = apply_diff(state, state.seqno + 1, diff)
        log.append((state.seqno, diff))
        _check(before, state, deleted)
        if number == rollup_at:
            encoded = msgspec.msgpack.encode(state)
            rollup = (state.seqno, msgspec.msgpack.decode(encoded, type=ShardState))
    rebuilt = rollup[1]
    for seqno, diff in log:
        if seqno > rollup[0]:
            rebuilt = apply_diff(rebuilt, seqno, diff)
    assert rebuilt == state


def _concrete(state: ShardState, step: object, number: int) -> Command:
    match step:
        case "append":
            return append(state.upper, state.upper + 2, f"blob-{number}")
        case "merge":
            chosen = state.batches[:2]
            if not chosen:
                return Merge((), ())
            merged = batch(chosen[0].lower, chosen[-1].upper, f"blob-{number}", since=state.since)
            return Merge(tuple(b.id for b in chosen), (merged,))
        case "collect":
            return CollectGarbage(tuple(item.key for item in state.collectible))
        case _:
            return step  # type: ignore[return-value]


def _check(before: ShardState, after: ShardState, deleted: set[str]) -> None:
    assert after.upper >= before.upper
    assert after.since >= before.since
    assert all(after.since <= reader.since for reader in after.critical.values())
    assert all(after.since <= reader.since for reader in after.leased.values())
    lost = before.keys - after.keys
    deleted |= lost
    assert lost <= {item.key for item in before.collectible}, "a blob was forgotten undeleted"
    live = {key for b in after.batches for key in b.batch.keys}
    assert not live & deleted
