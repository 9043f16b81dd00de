"""What the differential test leaves out, each with its reason, and the deliberate differences.

A function is compared unless it stands here. `NOT_COMPARED` names functions by id: those PostgreSQL
has not got (which the test verifies), those without a result of their own, and those whose result
needs a catalog. `DIFFERENCES` are calls on which we answer otherwise on purpose: each names the
heading in docs/differences.md that tells users so, tells which calls it covers, and has an example
that must still differ.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from expr.registry import Function
from tests.expr.postgres_reference import Outcome

Texts = tuple[str | None, ...]
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
            *(
                "digest(text,text)",
                "digest(bytea,text)",
                "uuid_generate_v4()",
                "field(record,int4)",
            ),
            *(
                "hmac(text,text,text)",
                "hmac(bytea,bytea,text)",
                "crc32(text)",
                "kafka_murmur2(text)",
            ),
            *("kafka_murmur2(bytea)", "timezone_offset(text,timestamptz)", "limit_count(int8)"),
            *(f"datediff(text,{name},{name})" for name in ("timestamp", "timestamptz", "date")),
            *("offset_count(int8)", "_pg_expandarray(anyarray)"),
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
    "format_type(oid,int4)": "names the types that there are, which are fewer",
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
    covers: Callable[[Function, Texts, Outcome, Outcome], bool]
    example: tuple[str, tuple[str, ...]]  # a function id and the texts of its arguments


_REGULAR_EXPRESSIONS: Final = frozenset(
    {"~", "!~", "~*", "!~*", "substring", "regexp_replace", "regexp_match", "regexp_matches"}
    | {"regexp_like", "regexp_count", "regexp_instr", "regexp_substr", "regexp_split_to_array"}
    | {"regexp_split_to_table"}
)

_LETTERS_OF_SEVERAL_CASES: Final = frozenset("ΣσςİıſßẞǄǅǆ")


def _refused_pattern(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    return function.name in _REGULAR_EXPRESSIONS and ours.sqlstate in ("0A000", "2201B")


def _folded_case(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    """Letters with more than two cases, which RE2 takes for one without regard to case."""
    letters = set("".join(text for text in texts if text is not None))
    is_pattern = function.name in _REGULAR_EXPRESSIONS
    return is_pattern and not ours.is_error and bool(letters & _LETTERS_OF_SEVERAL_CASES)


def _word_boundary(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    """Boundaries of words, which RE2 sees next to ASCII letters only."""
    subject, pattern = (text or "" for text in texts[:2]) if len(texts) > 1 else ("", "")
    is_boundary = any(
        mark in pattern for mark in ("\\m", "\\M", "\\y", "\\Y", "[[:<:]]", "[[:>:]]")
    )
    return function.name in _REGULAR_EXPRESSIONS and is_boundary and not subject.isascii()


def _changed_abbreviation(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    return function.name in ("timezone", "make_timestamptz") and "MSK" in texts


def _last_digits(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    if function.name not in ("gamma", "lgamma") or ours.text is None or theirs.text is None:
        return False
    return math.isclose(float(ours.text), float(theirs.text), rel_tol=1e-12, abs_tol=1e-12)


def _no_type_name(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    return function.name == "to_regtype" and ours.text is None and theirs.is_error


def _other_encoding(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    return function.name in ("convert_from", "convert_to") and ours.sqlstate == "22023"


def _zone_rule(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    return function.name == "timezone" and ours.sqlstate == "22023"


def _endless_series(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    return function.name == "generate_series" and ours.text in ("{infinity}", "{-infinity}")


def _shifted_too_far(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    return function.id == "to_char(int4,text)" and ours.sqlstate == "22003"


def _unicode_names(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    return "~" in function.name and function.args[0].name == "name"


DIFFERENCES: Final = (
    Difference("Patterns on names", _unicode_names, ("~(name,text)", ("ß", "[[:alpha:]]"))),
    Difference(
        "Endless series",
        _endless_series,
        ("generate_series(timestamp,timestamp,interval)", ("-infinity", "infinity", "1 day")),
    ),
    Difference("Shifted digits", _shifted_too_far, ("to_char(int4,text)", ("2147483647", "V9"))),
    Difference("Regular expressions", _refused_pattern, ("~(text,text)", ("aa", "(a)\\1"))),
    Difference("Regular expressions", _folded_case, ("~*(text,text)", ("ς", "Σ"))),
    Difference("Regular expressions", _word_boundary, ("~(text,text)", ("Àa", "[[:<:]]a"))),
    Difference(
        "Time zones",
        _changed_abbreviation,
        ("timezone(text,timestamp)", ("MSK", "0217-08-12 00:00:00")),
    ),
    Difference("Gamma functions", _last_digits, ("lgamma(float8)", ("180",))),
    Difference("Names of types", _no_type_name, ("to_regtype(text)", ("%",))),
    Difference("Encoding", _other_encoding, ("convert_to(text,name)", ("a", "LATIN1"))),
    Difference(
        "Time zones",
        _zone_rule,
        ("timezone(text,timestamp)", ("EST5EDT,M3.2.0,M11.1.0", "2024-07-01 00:00:00")),
    ),
)


def is_deliberate(function: Function, texts: Texts, ours: Outcome, theirs: Outcome) -> bool:
    """Whether a difference is one of those listed."""
    return any(difference.covers(function, texts, ours, theirs) for difference in DIFFERENCES)
