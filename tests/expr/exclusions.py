"""What the differential test leaves out, each with its reason, and the deliberate differences.

A function is compared unless it stands here. `NOT_COMPARED` names functions by id: those PostgreSQL
has not got (which the test verifies), those without a result of their own, and those whose result
needs a catalog. `DIFFERENCES` are calls on which we answer otherwise on purpose: each names the
heading in docs/differences.md that tells users so, tells which calls it covers, and has an example
that must still differ.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from expr.registry import Function
from tests.expr.postgres_reference import Outcome

_OURS: Final = re.compile(r"\b(uint2|uint4|uint8|mz_timestamp)\b|^mz_")
ABSENT: Final = "PostgreSQL has no such function"
RANDOM: Final = "the result is random"
NAMES: Final = "the names of catalog objects are the planner's to resolve"
LAYOUT: Final = "tells of how PostgreSQL lays out values in memory"
SLEEPS: Final = "has no result"
REFERENCE: Final = "compared by the tests of the function it stands for"

NOT_COMPARED: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            *("digest(text,text)", "digest(bytea,text)", "uuid_generate_v4()"),
            *("field(record,int4)", "jsonb_subscript(jsonb,text)"),
        ),
        ABSENT,
    ),
    **dict.fromkeys(
        (
            *("random()", "random(int4,int4)", "random(int8,int8)", "array_shuffle(anyarray)"),
            *("gen_random_uuid()", "uuidv4()", "uuidv7()", "setseed(float8)"),
        ),
        RANDOM,
    ),
    "cast(char,bpchar)": "PostgreSQL makes invalid text of it: a NUL, or a lone byte above 127",
    "pg_sleep(float8)": SLEEPS,
    "pg_column_size(any)": LAYOUT,
    **dict.fromkeys(
        (
            f"cast({source},{target})"
            for source in ("int2", "int4", "int8", "oid")
            for target in ("regproc", "regclass", "regnamespace", "regrole", "regtype")
        ),
        NAMES,
    ),
    **dict.fromkeys(
        (
            f"cast({source},{target})"
            for source in ("regproc", "regclass", "regnamespace", "regrole", "regtype")
            for target in ("int4", "int8", "oid")
        ),
        NAMES,
    ),
    "pg_partition_ancestors(regclass)": NAMES,
}


def reason_not_compared(function: Function) -> str | None:
    """Why a function is not compared; None when it is."""
    if _OURS.search(function.id):
        return ABSENT
    return NOT_COMPARED.get(function.id)


@dataclass(frozen=True, slots=True)
class Difference:
    """Calls on which we differ on purpose."""

    heading: str  # in docs/differences.md
    covers: Callable[[Function, Outcome, Outcome], bool]
    example: tuple[str, tuple[str, ...]]  # a function id and the texts of its arguments


def _names(*names: str) -> Callable[[Function], bool]:
    return lambda function: function.name in names


DIFFERENCES: Final[tuple[Difference, ...]] = ()
