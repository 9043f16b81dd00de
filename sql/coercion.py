"""How the planner changes types: unknown literals, parameters, casts, common types.

The rules are those of PostgreSQL's parse_coerce.c; what a cast computes is in `expr.casting`.
"""

from collections.abc import Sequence
from typing import Final

from core.errors import (
    AMBIGUOUS_PARAMETER,
    CANNOT_COERCE,
    DATATYPE_MISMATCH,
    INDETERMINATE_DATATYPE,
    SqlError,
)
from core.sql_types import TEXT, UNKNOWN, SqlType
from expr.casting import can_cast, cast_scalar
from expr.registry import CastContext
from expr.scalar import NULL_ROW, EvaluationContext, Literal, Parameter, Scalar, literal
from expr.text_format import text_input

_UNKNOWN_OID: Final = UNKNOWN.oid
_RECORD_OID: Final = 2249
_INTERVAL_OID: Final = 1186


class ParameterTypes:
    """The types of `$1 …`: those given, and those found while planning."""

    def __init__(self, given: Sequence[SqlType | None], count: int) -> None:
        size = max(count, len(given))
        self.types: list[SqlType | None] = list(given) + [None] * (size - len(given))
        self.types = [None if t is not None and t.oid == _UNKNOWN_OID else t for t in self.types]

    def reference(self, index: int) -> Parameter:
        """`$index` with the type known so far."""
        known = self.types[index - 1]
        return Parameter(index, UNKNOWN if known is None else known)

    def settle(self, parameter: Parameter, target: SqlType, position: int | None) -> Parameter:
        """Decide the type of a parameter used as `target`. Raises SqlError 42P08 on conflict."""
        known = self.types[parameter.index - 1]
        if known is None:
            self.types[parameter.index - 1] = target.base
        elif known.oid != target.oid:
            raise SqlError(
                AMBIGUOUS_PARAMETER,
                f"inconsistent types deduced for parameter ${parameter.index}",
                detail=f"{known.info.sql_name} versus {target.info.sql_name}",
                position=position,
            )
        return Parameter(parameter.index, target.base)

    def final(self) -> tuple[SqlType, ...]:
        """Every type. Raises SqlError 42P18 for a parameter whose type nothing decided."""
        result = []
        for index, known in enumerate(self.types, start=1):
            if known is None:
                raise SqlError(
                    INDETERMINATE_DATATYPE,
                    f"could not determine data type of parameter ${index}",
                )
            result.append(known)
        return tuple(result)


class Coercer:
    """Changes the types of scalars under a session's settings."""

    def __init__(self, context: EvaluationContext, parameters: ParameterTypes) -> None:
        self.context = context
        self.parameters = parameters

    def coerce(
        self,
        scalar: Scalar,
        target: SqlType,
        context: CastContext = CastContext.IMPLICIT,
        position: int | None = None,
    ) -> Scalar:
        """`scalar` as a value of `target`. Raises SqlError 42846 when no cast applies, and what
        the input function raises for a literal."""
        result = self.try_coerce(scalar, target, context, position)
        if result is None:
            raise SqlError(
                CANNOT_COERCE,
                f"cannot cast type {scalar.type.info.sql_name} to {target.info.sql_name}",
                position=position,
            )
        return result

    def try_coerce(
        self,
        scalar: Scalar,
        target: SqlType,
        context: CastContext = CastContext.IMPLICIT,
        position: int | None = None,
    ) -> Scalar | None:
        """Like `coerce`, but None when no cast applies."""
        source = scalar.type
        if source.oid == target.oid and target.modifier in (-1, source.modifier):
            return scalar
        if source.oid == _UNKNOWN_OID:
            return self._from_unknown(scalar, target, context, position)
        try:
            return cast_scalar(scalar, target, context)
        except SqlError as error:
            raise at(error, position) from None

    def _from_unknown(
        self, scalar: Scalar, target: SqlType, context: CastContext, position: int | None
    ) -> Scalar | None:
        if isinstance(scalar, Parameter) and scalar.index > 0:
            return self._with_modifier(
                self.parameters.settle(scalar, target, position), target, context
            )
        if not isinstance(scalar, Literal):
            as_text = cast_scalar(scalar, TEXT, CastContext.EXPLICIT)
            return None if as_text is None else cast_scalar(as_text, target, CastContext.EXPLICIT)
        if scalar.data == NULL_ROW:
            return Literal(NULL_ROW, target)
        if target.oid == _RECORD_OID:
            raise SqlError(
                "0A000", "input of anonymous composite types is not implemented", position=position
            )
        parsed = target if target.oid == _INTERVAL_OID else target.base
        try:
            value = text_input(parsed, self.context)(scalar.value)
            return self._with_modifier(literal(value, parsed), target, context)
        except SqlError as error:
            raise at(error, position) from None

    def _with_modifier(self, scalar: Scalar, target: SqlType, context: CastContext) -> Scalar:
        if target.modifier in (-1, scalar.type.modifier):
            return scalar
        result = cast_scalar(scalar, target, context)
        return scalar if result is None else result

    def known(self, scalar: Scalar) -> Scalar:
        """`scalar` with type text if its type is still unknown (as in a select list)."""
        if scalar.type.oid != _UNKNOWN_OID:
            return scalar
        return self.coerce(scalar, TEXT)

    def boolean(self, scalar: Scalar, construct: str, position: int | None) -> Scalar:
        """`scalar` as a condition. Raises SqlError 42804 naming the construct."""
        result = self.try_coerce(scalar, SqlType(16), CastContext.ASSIGNMENT, position)
        if result is None or (scalar.type.oid not in (16, _UNKNOWN_OID)):
            raise SqlError(
                DATATYPE_MISMATCH,
                f"argument of {construct} must be type boolean, "
                f"not type {scalar.type.info.sql_name}",
                position=position,
            )
        return result

    def unify(
        self, scalars: Sequence[Scalar], construct: str, positions: Sequence[int | None]
    ) -> list[Scalar]:
        """All of `scalars` as values of their common type."""
        target = common_type([s.type for s in scalars], construct, positions)
        result = []
        for scalar, position in zip(scalars, positions, strict=True):
            changed = self.try_coerce(scalar, target, CastContext.IMPLICIT, position)
            if changed is None:
                raise SqlError(
                    CANNOT_COERCE,
                    f"{construct} could not convert type {scalar.type.info.sql_name} "
                    f"to {target.info.sql_name}",
                    position=position,
                )
            result.append(changed)
        return result


def common_type(
    types: Sequence[SqlType], construct: str, positions: Sequence[int | None]
) -> SqlType:
    """PostgreSQL's select_common_type, its modifier kept when all agree. Raises SqlError 42804."""
    first = types[0]
    if first.oid != _UNKNOWN_OID and all(t == first for t in types):
        return first
    chosen = first
    for current, position in zip(types[1:], positions[1:], strict=True):
        if current.oid in (_UNKNOWN_OID, chosen.oid):
            continue
        if chosen.oid == _UNKNOWN_OID:
            chosen = current
        elif current.info.category != chosen.info.category:
            raise SqlError(
                DATATYPE_MISMATCH,
                f"{construct} types {chosen.info.sql_name} and {current.info.sql_name} "
                "cannot be matched",
                position=position,
            )
        elif (
            not chosen.info.preferred
            and can_cast(chosen, current, CastContext.IMPLICIT)
            and not can_cast(current, chosen, CastContext.IMPLICIT)
        ):
            chosen = current
    if chosen.oid == _UNKNOWN_OID:
        return TEXT
    modifiers = {t.modifier for t in types if t.oid == chosen.oid}
    same = all(t.oid == chosen.oid for t in types) and len(modifiers) == 1
    return SqlType(chosen.oid, modifiers.pop()) if same else chosen.base


def at(error: SqlError, position: int | None) -> SqlError:
    """`error` with a position if it has none."""
    if error.position is None:
        error.position = position
    return error
