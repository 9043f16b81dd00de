"""Checks that all of Headwater's packages come from one place.

The packages have plain top-level names (`core`, `sql`, …). Another module of such a name earlier on
the path would be mixed in silently; better to stop and say so.
"""

import importlib.util
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "catalog",
    "compute",
    "controllers",
    "coordinator",
    "core",
    "expr",
    "frontend",
    "headwater",
    "oracle",
    "persist",
    "sql",
)


class MixedPackagesError(Exception):
    """A package of ours would be imported from somewhere else."""


def require_one_origin() -> None:
    """Raises MixedPackagesError, naming the intruder."""
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        specification = importlib.util.find_spec(name)
        found = None if specification is None else specification.origin
        if found is None:
            raise MixedPackagesError(f"Headwater's package {name!r} is missing from {home}")
        if Path(found).resolve().parent.parent != home:
            raise MixedPackagesError(
                f"Headwater runs from {home}, but its package {name!r} would be imported from "
                f"{found}; remove that from PYTHONPATH, or start with `python -P`"
            )
