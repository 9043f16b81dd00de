"""Strict serializability of recorded histories under faults, and a checker that is seen to fail."""

import random
from pathlib import Path
from typing import Final

import pytest

from core.planted_bugs import PLANTED_BUGS
from tests.consistency import workload
from tests.consistency.dependency_graph import find_anomalies
from tests.consistency.environment import Environment
from tests.consistency.history import Anomaly, Outcome
from tests.consistency.timestamp_replay import find_replay_anomalies

CLIENTS: Final = 9
FEWEST_TRANSACTIONS_PER_SECOND: Final = 5
ALL_FAULTS: Final = ("kill_replica", "kill_server", "take_over", "cut_store_connections")
# The faults without which a planted bug has no occasion to show.
FAULTS_OF_BUG: Final = {
    "blind_retry": ("cut_store_connections",),
    "apply_before_durable": ("cut_store_connections",),
}


async def _record_and_check(
    directory: Path, metadata_url: str, seconds: float, seed: int, faults: tuple[str, ...]
) -> list[Anomaly]:
    environment = Environment(directory, metadata_url, random.Random(seed))
    try:
        await workload.prepare(environment.dsn())
        recorded = workload.Workload(environment.dsn, seed)
        pause_s = 0.3 if faults == ("cut_store_connections",) else 3.0
        await workload.run(recorded, CLIENTS, seconds, environment.faults(faults, pause_s))
    finally:
        environment.close()
    committed = [t for t in recorded.history if t.outcome is Outcome.COMMITTED]
    assert len(committed) > FEWEST_TRANSACTIONS_PER_SECOND * seconds, "the clients were shut out"
    assert any(t.appends and t.timestamp for t in committed)
    return [*find_anomalies(recorded.history), *find_replay_anomalies(recorded.history)]


@pytest.mark.parametrize("seed", [1])
async def test_sampled_history_is_strictly_serializable(
    tmp_path: Path, fresh_database_url: str, seed: int
) -> None:
    anomalies = await _record_and_check(tmp_path, fresh_database_url, 6.0, seed, ALL_FAULTS)
    assert anomalies == [], f"seed {seed}"


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(100, 105))
async def test_histories_are_strictly_serializable(
    tmp_path: Path, fresh_database_url: str, seed: int
) -> None:
    anomalies = await _record_and_check(tmp_path, fresh_database_url, 20.0, seed, ALL_FAULTS)
    assert anomalies == [], f"seed {seed}"


@pytest.mark.parametrize("bug", sorted(PLANTED_BUGS))
async def test_planted_bug_is_caught(
    tmp_path: Path, fresh_database_url: str, monkeypatch: pytest.MonkeyPatch, bug: str
) -> None:
    monkeypatch.setenv("HEADWATER_PLANTED_BUG", bug)
    anomalies = await _record_and_check(
        tmp_path, fresh_database_url, 6.0, 7, FAULTS_OF_BUG.get(bug, ())
    )
    assert anomalies, f"{bug} went unnoticed"
