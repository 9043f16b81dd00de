"""Test-only switches that plant known bugs, so that the history checker can be seen to fail.

`HEADWATER_PLANTED_BUG` names at most one of `PLANTED_BUGS`; it is read once, at import. Nothing but
the checker's own tests sets it, and an unknown name ends the process: a checker that passes because
its bug was misspelt would prove nothing.
"""

import os
from typing import Final, Literal, get_args

PlantedBug = Literal[
    "cached_read_ts",
    "blind_retry",
    "apply_before_durable",
    "skipped_revalidation",
    "lost_push",
    "unvalidated_batch_mate",
]

PLANTED_BUGS: Final[frozenset[str]] = frozenset(get_args(PlantedBug))
_PLANTED: Final = os.environ.get("HEADWATER_PLANTED_BUG", "")

if _PLANTED and _PLANTED not in PLANTED_BUGS:
    raise SystemExit(f"HEADWATER_PLANTED_BUG: no such bug: {_PLANTED}")


def is_planted(name: PlantedBug) -> bool:
    """Whether this process was started with the bug `name`."""
    return name == _PLANTED
