"""A commit whose outcome is unknown: proposed again byte for byte until an answer is determinate;
until then nobody is answered, nothing is built on it, and nothing later is proposed."""

import asyncio
from collections.abc import Sequence

import pytest

from core.errors import DeterminateError, IndeterminateError, StorageError
from core.ids import Timestamp
from persist.commit_point import CommitOutcome, CommitPoint, CommitProposal
from persist.txn_reader import TxnsReader
from persist.txn_wal import TxnsWriter
from persist.txns_state import CommitRecord, TxnsPush
from tests.persist.txns_environment import (
    TABLE,
    TXNS,
    MemoryEnvironment,
    Process,
    contents,
    write,
)

LOST_REQUEST = "lost request"
LOST_ANSWER = "lost answer"
CONFLICT = "conflict"


class ScriptedCommitPoint:
    """Implements `CommitPoint` over another one; what happens to the next proposals is written
    down beforehand, and every proposal is kept."""

    def __init__(self, inner: CommitPoint) -> None:
        self._inner = inner
        self.script: list[str] = []
        self.proposals: list[CommitProposal] = []
        self.has_repeated = asyncio.Event()

    async def commit(self, proposal: CommitProposal) -> CommitOutcome:
        if proposal in self.proposals:
            self.has_repeated.set()
        self.proposals.append(proposal)
        fate = self.script.pop(0) if self.script else ""
        if fate == CONFLICT:
            raise DeterminateError("scripted: 40001")
        if fate == LOST_REQUEST:
            raise IndeterminateError("scripted: the request was lost")
        outcome = await self._inner.commit(proposal)
        if fate == LOST_ANSWER:
            raise IndeterminateError("scripted: the answer was lost")
        return outcome

    async def write_ts(self) -> Timestamp:
        return await self._inner.write_ts()


async def opened() -> tuple[Process, TxnsWriter, ScriptedCommitPoint]:
    process = await MemoryEnvironment().take_over()
    commit_point = ScriptedCommitPoint(process.commit_point)
    writer = await TxnsWriter.open(process.location, TXNS, commit_point)
    await writer.commit([], register=[TABLE])
    commit_point.proposals.clear()
    return process, writer, commit_point


@pytest.mark.parametrize(
    "script",
    [
        (LOST_ANSWER,),
        (LOST_REQUEST,),
        (LOST_REQUEST, LOST_ANSWER, LOST_ANSWER),
        (LOST_ANSWER, CONFLICT),  # speaks of the repetition, not of the first attempt
        (LOST_REQUEST, CONFLICT, LOST_REQUEST),
    ],
)
async def test_an_unknown_outcome_is_settled_by_the_same_bytes(script: Sequence[str]) -> None:
    process, writer, commit_point = await opened()
    pushed: list[TxnsPush] = []

    def listen(push: TxnsPush, record: CommitRecord) -> None:
        assert not commit_point.script, "told before the outcome was known"
        pushed.append(push)

    writer.add_listener(listen)
    commit_point.script = [*script]
    ts = await writer.commit([write(TABLE, 1)])
    first, *repetitions = commit_point.proposals
    assert len(repetitions) == len(script)
    assert all(repetition == first for repetition in repetitions)
    assert [push.data for push in pushed] == [first.data]
    reader = await TxnsReader.open(process.location, TXNS)
    assert await contents(reader, TABLE, ts) == {"1": 1}


async def test_a_conflict_of_the_first_attempt_is_the_callers_to_repeat() -> None:
    process, writer, commit_point = await opened()
    commit_point.script = [CONFLICT]
    with pytest.raises(DeterminateError):
        await writer.commit([write(TABLE, 1)])
    ts = await writer.commit([write(TABLE, 2)])
    reader = await TxnsReader.open(process.location, TXNS)
    assert await contents(reader, TABLE, ts) == {"2": 1}


async def test_nothing_is_built_on_what_was_never_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persist.txn_wal.SETTLE_DEADLINE_S", 0.0)
    _, writer, commit_point = await opened()
    commit_point.script = [LOST_ANSWER] * 100
    with pytest.raises(IndeterminateError):
        await writer.commit([write(TABLE, 1)])
    commit_point.script.clear()
    proposed = len(commit_point.proposals)
    with pytest.raises(IndeterminateError):
        await writer.commit([write(TABLE, 2)])
    assert len(commit_point.proposals) == proposed


async def test_nothing_is_built_on_what_was_interrupted() -> None:
    _, writer, commit_point = await opened()
    commit_point.script = [LOST_ANSWER] * 100
    commit = asyncio.create_task(writer.commit([write(TABLE, 1)]))
    await commit_point.has_repeated.wait()
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    with pytest.raises(StorageError):
        await writer.commit([write(TABLE, 2)])
