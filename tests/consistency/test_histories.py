"""Strict serializability of recorded histories under faults, and a checker that is seen to fail."""

import random
from pathlib import Path
from typing import Final

import pytest

from tests.consistency import workload
from tests.consistency.dependency_graph import find_anomalies
from tests.consistency.environment import Environment
from tests.consistency.history import Anomaly, Outcome
from tests.consistency.planted_bugs import PLANTED_BUGS
from tests.consistency.timestamp_replay import find_replay_anomalies

CLIENTS: Final = 9
FEWEST_TRANSACTIONS_PER_SECOND: Final = 2
ALL_FAULTS: Final = (
    "kill_replica",
    "kill_server",
    "take_over",
    "take_over_while_paused",
    "lose_requests",
    "lose_answers",
)
FAULT_PAUSE_S: Final = 2.0
STORE_DELAYS_S: Final = (0.0, 0.003)
# The fault without which a planted bug has no occasion to show.
FAULTS_OF_BUG: Final = {"blind_retry": ("lose_answers",)}
BUG_SECONDS: Final = 4.0
BUG_HISTORIES: Final = 4
BUG_FAULT_PAUSE_S: Final = 0.5
BUG_STORE_DELAY_S: Final = 0.01  # commits gather company, and race with what they were planned on


async def _record(
    environment: Environment,
    seconds: float,
    seed: int,
    faults: tuple[str, ...],
    pause_s: float,
    *,
    with_views: bool = False,
) -> list[Anomaly]:
    recorded = workload.Workload(environment.dsn, seed, with_views)
    await workload.prepare(environment.dsn(), with_views=with_views)
    await workload.run(recorded, CLIENTS, seconds, environment.faults(faults, pause_s))
    committed = [t for t in recorded.history if t.outcome is Outcome.COMMITTED]
    print(f"seed {seed}: {len(recorded.history)} transactions, {len(committed)} committed")
    assert len(committed) > FEWEST_TRANSACTIONS_PER_SECOND * seconds, "the clients were shut out"
    assert any(t.appends and t.timestamp for t in committed)
    return [*find_anomalies(recorded.history), *find_replay_anomalies(recorded.history)]


@pytest.mark.parametrize(
    ("seconds", "seed"),
    [
        pytest.param(6.0, None, id="sample"),
        *(
            pytest.param(20.0, seed, marks=[pytest.mark.long, pytest.mark.timeout(300)])
            for seed in range(100, 105)
        ),
    ],
)
async def test_histories_are_strictly_serializable(
    tmp_path: Path, fresh_database_url: str, seconds: float, seed: int | None
) -> None:
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    rng = random.Random(seed)
    delay_s = rng.choice(STORE_DELAYS_S)
    async with Environment.open(
        tmp_path, fresh_database_url, rng, store_delay_s=delay_s
    ) as environment:
        anomalies = await _record(environment, seconds, seed, ALL_FAULTS, FAULT_PAUSE_S)
    assert anomalies == [], f"seed {seed}"


@pytest.mark.parametrize(
    ("seconds", "faults"),
    [
        pytest.param(6.0, ("kill_replica",), id="sample"),
        pytest.param(60.0, (), marks=[pytest.mark.long, pytest.mark.timeout(300)], id="quiet"),
        pytest.param(
            60.0, ALL_FAULTS, marks=[pytest.mark.long, pytest.mark.timeout(300)], id="faults"
        ),
    ],
)
async def test_views_are_as_fresh_as_tables(
    tmp_path: Path, fresh_database_url: str, seconds: float, faults: tuple[str, ...]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    async with Environment.open(tmp_path, fresh_database_url, rng) as environment:
        anomalies = await _record(
            environment, seconds, seed, faults, FAULT_PAUSE_S, with_views=True
        )
    assert anomalies == [], f"seed {seed}"


@pytest.mark.parametrize("bug", sorted(PLANTED_BUGS))
async def test_planted_bug_is_caught(tmp_path: Path, fresh_database_url: str, bug: str) -> None:
    """A bug shows when chance gives it the occasion, so it has a few histories to show in."""
    program = ("tests.consistency.planted_bugs", bug)
    seeds = [random.SystemRandom().randrange(2**32) for _ in range(BUG_HISTORIES)]
    async with Environment.open(
        tmp_path,
        fresh_database_url,
        random.Random(seeds[0]),
        store_delay_s=BUG_STORE_DELAY_S,
        program=program,
    ) as environment:
        faults = FAULTS_OF_BUG.get(bug, ())
        for seed in seeds:
            anomalies = await _record(environment, BUG_SECONDS, seed, faults, BUG_FAULT_PAUSE_S)
            print(len(anomalies), "anomalies;", {anomaly.kind for anomaly in anomalies})
            if anomalies:
                return
    pytest.fail(f"{bug} went unnoticed with seeds {seeds}")
