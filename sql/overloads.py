"""Which of several functions or operators of one name a call means.

PostgreSQL's rules ("10.2 Operators", "10.3 Functions"; func_select_candidate and
enforce_generic_type_consistency in its source), on the overloads of `expr.registry`.
Results are cached by name and argument types: the registry does not change once it is filled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import DATATYPE_MISMATCH, SqlError
from core.sql_types import (
    ANY,
    ANYARRAY,
    ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY,
    ANYELEMENT,
    ANYNONARRAY,
    MZ_TIMESTAMP,
    TEXT,
    UNKNOWN,
    SqlType,
)
from expr.casting import can_cast
from expr.registry import CastContext
from sql.coercion import common_type

_UNKNOWN: Final = UNKNOWN.oid
_ANY: Final = ANY.oid
_ARRAY_PSEUDO: Final = frozenset({ANYARRAY.oid, ANYCOMPATIBLEARRAY.oid})
_ELEMENT_PSEUDO: Final = frozenset({ANYELEMENT.oid, ANYNONARRAY.oid})
_COMPATIBLE: Final = frozenset({ANYCOMPATIBLE.oid, ANYCOMPATIBLEARRAY.oid})
POLYMORPHIC: Final = _ARRAY_PSEUDO | _ELEMENT_PSEUDO | _COMPATIBLE
_VECTORS: Final = frozenset({22, 30})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One overload: `args` with a variadic tail already spread over the call's arguments."""

    key: int
    args: tuple[SqlType, ...]
    is_variadic: bool = False


class Ambiguous(Exception):
    """Several candidates fit equally well."""


def select(
    candidates: Sequence[Candidate], actual: tuple[SqlType, ...], *, is_operator: bool
) -> Candidate | None:
    """The candidate that a call with `actual` argument types means; None when none fits.

    Raises Ambiguous.
    """
    oids = tuple(t.oid for t in actual)
    exact = _exact(candidates, oids, is_operator)
    if exact is not None:
        return exact
    fitting = [c for c in candidates if fits(c.args, actual)]
    if len(fitting) > 1:
        fitting = _without_spread_duplicates(fitting)
    if len(fitting) <= 1:
        return fitting[0] if fitting else None
    return _best(fitting, oids)


def _exact(
    candidates: Sequence[Candidate], oids: tuple[int, ...], is_operator: bool
) -> Candidate | None:
    wanted = oids
    if is_operator and len(oids) == 2 and _UNKNOWN in oids and oids != (_UNKNOWN, _UNKNOWN):
        known = oids[0] if oids[1] == _UNKNOWN else oids[1]
        wanted = (known, known)
    for candidate in candidates:
        if tuple(t.oid for t in candidate.args) == wanted and not candidate.is_variadic:
            return candidate
    return None


def fits(declared: Sequence[SqlType], actual: Sequence[SqlType]) -> bool:
    """Whether arguments of the actual types can be passed as the declared ones implicitly."""
    if len(declared) != len(actual):
        return False
    if MZ_TIMESTAMP in declared and MZ_TIMESTAMP not in actual:
        return False  # numbers and dates become virtual times only to meet one
    polymorphic = False
    for want, have in zip(declared, actual, strict=True):
        oid = want.oid
        if oid == have.oid or have.oid == _UNKNOWN or oid == _ANY:
            polymorphic = polymorphic or oid in POLYMORPHIC
            continue
        if oid in POLYMORPHIC:
            polymorphic = True
            if oid in _ARRAY_PSEUDO and have.element is None:
                return False
            if oid == ANYNONARRAY.oid and have.element is not None:
                return False
        elif not can_cast(have, want, CastContext.IMPLICIT):
            return False
    return not polymorphic or _consistent(declared, actual)


def _consistent(declared: Sequence[SqlType], actual: Sequence[SqlType]) -> bool:
    try:
        resolve_polymorphic(declared, actual, TEXT)
    except SqlError:
        return False
    return True


def _without_spread_duplicates(candidates: list[Candidate]) -> list[Candidate]:
    """Drop variadic candidates whose spread arguments another candidate has in full."""
    plain = {tuple(t.oid for t in c.args) for c in candidates if not c.is_variadic}
    return [c for c in candidates if not (c.is_variadic and tuple(t.oid for t in c.args) in plain)]


def _best(candidates: list[Candidate], oids: tuple[int, ...]) -> Candidate:
    known = [i for i, oid in enumerate(oids) if oid != _UNKNOWN]

    def exact(candidate: Candidate) -> int:
        return sum(candidate.args[i].oid == oids[i] for i in known)

    def preferred(candidate: Candidate) -> int:
        return sum(
            candidate.args[i].oid == oids[i]
            or (
                candidate.args[i].info.preferred
                and candidate.args[i].info.category == SqlType(oids[i]).info.category
            )
            for i in known
        )

    for score in (exact, preferred):
        best = max(score(c) for c in candidates)
        candidates = [c for c in candidates if score(c) == best]
        if len(candidates) == 1:
            return candidates[0]
    if len(known) == len(oids):
        raise Ambiguous
    candidates = _by_unknown_categories(candidates, oids)
    if len(candidates) == 1:
        return candidates[0]
    return _by_common_known_type(candidates, oids, known)


def _by_unknown_categories(candidates: list[Candidate], oids: tuple[int, ...]) -> list[Candidate]:
    slots: dict[int, tuple[str, bool]] = {}
    for index, oid in enumerate(oids):
        if oid != _UNKNOWN:
            continue
        infos = [c.args[index].info for c in candidates]
        categories = {info.category for info in infos}
        if "S" in categories:
            category = "S"
        elif len(categories) == 1:
            category = infos[0].category
        else:
            return candidates
        has_preferred = any(i.preferred for i in infos if i.category == category)
        slots[index] = (category, has_preferred)
    kept = [
        c
        for c in candidates
        if all(
            c.args[i].info.category == category and (not has_preferred or c.args[i].info.preferred)
            for i, (category, has_preferred) in slots.items()
        )
    ]
    return kept or candidates


def _by_common_known_type(
    candidates: list[Candidate], oids: tuple[int, ...], known: list[int]
) -> Candidate:
    known_oids = {oids[i] for i in known}
    if len(known_oids) == 1:
        guess = tuple(SqlType(next(iter(known_oids))) for _ in oids)
        fitting = [c for c in candidates if fits(c.args, guess)]
        if len(fitting) == 1:
            return fitting[0]
    raise Ambiguous


def resolve_polymorphic(
    declared: Sequence[SqlType], actual: Sequence[SqlType], returns: SqlType
) -> tuple[tuple[SqlType, ...], SqlType]:
    """The argument types to coerce to, and the result type, of one call.

    Raises SqlError 42804 when the actual types do not agree with each other.
    """
    if not any(t.oid in POLYMORPHIC or t.oid == _ANY for t in declared):
        return tuple(declared), returns
    element = _element_type(declared, actual)
    compatible = _compatible_type(declared, actual)
    args = []
    for want, have in zip(declared, actual, strict=True):
        if want.oid == _ANY:
            args.append(TEXT if have.oid == _UNKNOWN else have)
        elif want.oid in POLYMORPHIC:
            args.append(_instance(want, element, compatible))
        else:
            args.append(want)
    result = returns
    if returns.oid in POLYMORPHIC:
        result = _instance(returns, element, compatible)
    return tuple(args), result


def _element_type(declared: Sequence[SqlType], actual: Sequence[SqlType]) -> SqlType | None:
    element: SqlType | None = None
    seen = False
    for want, have in zip(declared, actual, strict=True):
        if want.oid not in _ELEMENT_PSEUDO and want.oid != ANYARRAY.oid:
            continue
        seen = True
        if have.oid == _UNKNOWN:
            continue
        found: SqlType | None = have.base
        if want.oid == ANYARRAY.oid:
            found = have.element
            if found is None:
                raise _mismatch(
                    "argument declared anyarray is not an array but type " + have.info.sql_name
                )
        elif have.oid in _VECTORS and want.oid == ANYNONARRAY.oid:
            raise _mismatch("type matched to anynonarray is an array type")
        if found is not None:
            found = found.base
        if element is not None and found != element:
            raise _mismatch('arguments declared "anyelement" are not all alike')
        element = found
    if seen and element is None:
        raise _mismatch("could not determine polymorphic type because input has type unknown")
    return element


def _compatible_type(declared: Sequence[SqlType], actual: Sequence[SqlType]) -> SqlType | None:
    types: list[SqlType] = []
    for want, have in zip(declared, actual, strict=True):
        if want.oid == ANYCOMPATIBLE.oid:
            types.append(have.base)
        elif want.oid == ANYCOMPATIBLEARRAY.oid:
            element = have.element
            if element is not None:
                types.append(element.base)
            elif have.oid == _UNKNOWN:
                types.append(UNKNOWN)
            else:
                raise _mismatch(
                    "argument declared anycompatiblearray is not an array but type "
                    + have.info.sql_name
                )
    if not types:
        return None
    return common_type(types, "arguments of anycompatible family", [None] * len(types)).base


def _instance(pseudo: SqlType, element: SqlType | None, compatible: SqlType | None) -> SqlType:
    base = compatible if pseudo.oid in _COMPATIBLE else element
    if base is None:
        raise _mismatch("could not determine polymorphic type because input has type unknown")
    if pseudo.oid not in _ARRAY_PSEUDO:
        return base
    array = base.array
    if array is None:
        raise _mismatch(f"could not find array type for data type {base.info.sql_name}")
    return array


def _mismatch(message: str) -> SqlError:
    return SqlError(DATATYPE_MISMATCH, message)
