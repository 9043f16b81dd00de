"""Runs pgbench and reads its results."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.servers import Target, program

_TPS: Final = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_LATENCY: Final = re.compile(r"^latency average = ([\d.]+) ms", re.MULTILINE)
_FAILED: Final = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PgbenchResult:
    """One run: transactions per second and their average latency."""

    tps: float
    latency_ms: float


def run(target: Target, script: str, *, clients: int, protocol: str, seconds: int) -> PgbenchResult:
    """Run one script; `protocol` is pgbench's query mode. Raises RuntimeError."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "script.sql"
        path.write_text(script)
        outcome = subprocess.run(
            [
                *(program("pgbench"), "-n", "-f", path, "-T", str(seconds)),
                *("-c", str(clients), "-j", str(min(clients, 2)), "-M", protocol),
            ],
            env=target.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    tps, latency = _TPS.search(outcome.stdout), _LATENCY.search(outcome.stdout)
    failed = _FAILED.search(outcome.stdout)
    if outcome.returncode != 0 or tps is None or latency is None or (failed and failed[1] != "0"):
        raise RuntimeError(f"pgbench on {target.name}: {outcome.stderr.strip()}{outcome.stdout}")
    return PgbenchResult(float(tps[1]), float(latency[1]))
