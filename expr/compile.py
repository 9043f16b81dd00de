"""Scalars to Python functions over rows.

A list of scalars becomes the source of one Python function, compiled once and cached. Strict
functions get their null checks written in place, hot operators are written out (`expr.inline`), the
rest are calls of the registered implementations, bound to their argument types. A condition whose
null counts as false (a filter's, a CASE's) is compiled in *truth mode*, where AND, OR and
comparisons become Python's own.

Parameters are read from `expr.parameters` when they are evaluated, so that compiled code serves any
values of them.

Source that would nest too deep for Python's parser is moved into functions of its own; expressions
deeper than `MAX_DEPTH` are refused with 54001.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from core.rows import Datum, Row
from expr import inline, parameters
from expr.errors import too_deep
from expr.floats import check_float8
from expr.registry import FunctionKind, bind, function_by_id
from expr.scalar import (
    And,
    Call,
    Case,
    Coalesce,
    ColumnRef,
    EvaluationContext,
    Literal,
    Or,
    Parameter,
    Scalar,
)

MAX_DEPTH: Final = 250
MAX_SOURCE_NESTING: Final = 24
MAX_INLINE_BRANCHES: Final = 12
CACHE_SIZE: Final = 512


def compile_scalar(scalar: Scalar, context: EvaluationContext) -> Callable[[Row], Datum]:
    """The function that evaluates `scalar` on a row. It raises SqlError."""
    return _compiled_scalar(scalar, context)


def compile_row(scalars: Sequence[Scalar], context: EvaluationContext) -> Callable[[Row], Row]:
    """The function that evaluates every scalar on a row and returns the row of results."""
    return _compiled_row(tuple(scalars), context)


def compile_predicate(
    predicates: Sequence[Scalar], context: EvaluationContext
) -> Callable[[Row], bool]:
    """The function that says whether every predicate is true (not null) of a row."""
    return _compiled_predicate(tuple(predicates), context)


def compile_rows(
    predicates: Sequence[Scalar], scalars: Sequence[Scalar] | None, context: EvaluationContext
) -> Callable[[Iterable[Row]], list[Row]]:
    """Filter and map of many rows in one loop, without a call per row.

    Keeps the rows for which every predicate is true; `scalars` None keeps them as they are.
    """
    return _compiled_rows(tuple(predicates), None if scalars is None else tuple(scalars), context)


def compile_updates(
    predicates: Sequence[Scalar], scalars: Sequence[Scalar] | None, context: EvaluationContext
) -> Callable[[Iterable[tuple[Row, int]]], list[tuple[Row, int]]]:
    """The same for rows that come with multiplicities."""
    return _compiled_updates(
        tuple(predicates), None if scalars is None else tuple(scalars), context
    )


@lru_cache(maxsize=CACHE_SIZE)
def _compiled_scalar(scalar: Scalar, context: EvaluationContext) -> Callable[[Row], Datum]:
    if isinstance(scalar, ColumnRef):
        return itemgetter(scalar.index)
    unit = _Unit(context)
    return unit.finish("return " + unit.value(scalar, 0).text)


@lru_cache(maxsize=CACHE_SIZE)
def _compiled_row(scalars: tuple[Scalar, ...], context: EvaluationContext) -> Callable[[Row], Row]:
    if len(scalars) > 1 and all(isinstance(scalar, ColumnRef) for scalar in scalars):
        return itemgetter(*(s.index for s in scalars if isinstance(s, ColumnRef)))
    unit = _Unit(context)
    return unit.finish("return " + unit.row(scalars))


@lru_cache(maxsize=CACHE_SIZE)
def _compiled_predicate(
    predicates: tuple[Scalar, ...], context: EvaluationContext
) -> Callable[[Row], bool]:
    unit = _Unit(context)
    tests = [unit.truth(predicate, 0).text for predicate in predicates]
    return unit.finish(f"return {' and '.join(tests) or 'True'}")


@lru_cache(maxsize=CACHE_SIZE)
def _compiled_rows(
    predicates: tuple[Scalar, ...],
    scalars: tuple[Scalar, ...] | None,
    context: EvaluationContext,
) -> Callable[[Iterable[Row]], list[Row]]:
    unit = _Unit(context)
    tests = " and ".join(unit.truth(predicate, 0).text for predicate in predicates) or "True"
    result = "r" if scalars is None else unit.row(scalars)
    lines = ["out = []", "append = out.append", "for r in rows:"]
    lines.append(f"    if {tests}:" if predicates else "    if True:")
    lines.append(f"        append({result})")
    lines.append("return out")
    return unit.finish(*lines, parameter="rows")


@lru_cache(maxsize=CACHE_SIZE)
def _compiled_updates(
    predicates: tuple[Scalar, ...],
    scalars: tuple[Scalar, ...] | None,
    context: EvaluationContext,
) -> Callable[[Iterable[tuple[Row, int]]], list[tuple[Row, int]]]:
    unit = _Unit(context)
    tests = " and ".join(unit.truth(predicate, 0).text for predicate in predicates)
    result = "(r, d)" if scalars is None else f"({unit.row(scalars)}, d)"
    condition = f" if {tests}" if tests else ""
    return unit.finish(f"return [{result} for r, d in rows{condition}]", parameter="rows")


class _Code(NamedTuple):
    """Source of an expression. An atom may be repeated; `nesting` is how deep its brackets go."""

    text: str
    nullable: bool
    is_atom: bool = False
    nesting: int = 1


_NULL: Final = _Code("None", nullable=True, is_atom=True)


class _Unit:
    """The source of one compiled function, its helper functions and the names they use."""

    def __init__(self, context: EvaluationContext) -> None:
        self.context = context
        self.names: dict[str, Any] = {
            **inline.NAMES,
            "_Decimal": Decimal,
            "_parameters": parameters.CURRENT,
            "_float8_check": check_float8,
        }
        self.functions: list[str] = []
        self.counter = 0

    def finish(self, *lines: str, parameter: str = "r") -> Callable[..., Any]:
        """Compile a function of that body."""
        self._define("compiled", parameter, lines)
        source = "\n".join(self.functions)
        exec(compile(source, "<scalar>", "exec"), self.names)  # noqa: S102
        function: Callable[..., Any] = self.names["compiled"]
        return function

    def row(self, scalars: Iterable[Scalar]) -> str:
        """The source of a tuple of values."""
        return f"({''.join(self.value(scalar, 0).text + ', ' for scalar in scalars)})"

    def value(self, scalar: Scalar, depth: int) -> _Code:
        """The source of the scalar's value."""
        if depth > MAX_DEPTH:
            raise too_deep()
        match scalar:
            case ColumnRef(index=index):
                return _Code(f"r[{index}]", nullable=True)
            case Literal():
                return self._literal(scalar)
            case Call():
                return self._bounded(self._call(scalar, depth + 1))
            case And(args=args):
                return self._bounded(self._connective(args, "False", "True", depth + 1))
            case Or(args=args):
                return self._bounded(self._connective(args, "True", "False", depth + 1))
            case Coalesce(args=args):
                return self._bounded(self._coalesce(args, depth + 1))
            case Case():
                return self._bounded(self._case(scalar, depth + 1))
            case Parameter(index=index):
                return _Code(f"_parameters.values[{index - 1}]", nullable=True)

    def truth(self, scalar: Scalar, depth: int) -> _Code:
        """Source that is truthy exactly when the scalar is true."""
        if depth > MAX_DEPTH:
            raise too_deep()
        match scalar:
            case And(args=args) | Or(args=args):
                word = " and " if isinstance(scalar, And) else " or "
                codes = [self.truth(arg, depth + 1) for arg in args]
                text = f"({word.join(code.text for code in codes)})"
                nesting = 1 + max(code.nesting for code in codes)
                return self._bounded(_Code(text, nullable=False, nesting=nesting))
            case Call():
                template = inline.TEMPLATES.get(scalar.function)
                if template is not None:
                    return self._bounded(self._strict_truth(scalar, template, depth + 1))
        code = self.value(scalar, depth)
        if not code.nullable:
            return code
        return code._replace(text=f"({code.text} is True)", nesting=code.nesting + 1)

    def _strict_truth(self, call: Call, template: str, depth: int) -> _Code:
        checks, operands, nesting, _ = self._operands(call.args, depth)
        text = template.format(*operands, t=self._temporary())
        tests = [f"{check.removesuffix(' is None')} is not None" for check in checks]
        return _Code(f"({' and '.join([*tests, text])})", nullable=False, nesting=nesting + 2)

    def _literal(self, literal: Literal) -> _Code:
        value = literal.value
        if value is None:
            return _NULL
        if isinstance(value, bool | str) or (isinstance(value, int) and abs(value) < 2**64):
            text = repr(value) if not isinstance(value, int) or value >= 0 else f"({value})"
            if len(text) < 200:
                return _Code(text, nullable=False, is_atom=True)
        return _Code(self._name("k", value), nullable=False, is_atom=True)

    def _call(self, call: Call, depth: int) -> _Code:
        null_template = inline.NULL_TEMPLATES.get(call.function)
        if null_template is not None:
            operand = self.value(call.args[0], depth)
            if isinstance(call.args[0], Literal):  # Python warns of `is` beside a written constant
                operand = operand._replace(text=self._name("k", call.args[0].value))
            text = null_template.format(operand.text)
            return _Code(text, nullable=False, nesting=operand.nesting + 1)
        function = function_by_id(call.function)
        if function.kind is FunctionKind.SESSION:
            raise ValueError(f"session function {function.id} stands in a scalar to be compiled")
        if not function.strict:
            codes = [self.value(arg, depth) for arg in call.args]
            name = self._implementation(call)
            text = f"{name}({', '.join(code.text for code in codes)})"
            nesting = 1 + max((code.nesting for code in codes), default=0)
            return _Code(text, nullable=True, nesting=nesting)
        checks, operands, nesting, nullable = self._operands(call.args, depth)
        template = inline.TEMPLATES.get(call.function)
        if "None" in operands:
            return _NULL
        if template is not None:
            text = template.format(*operands, t=self._temporary())
        else:
            text = f"{self._implementation(call)}({', '.join(operands)})"
            nullable = True
        if not checks:
            return _Code(text, nullable, nesting=nesting + 1)
        return _Code(
            f"(None if {' or '.join(checks)} else {text})", nullable=True, nesting=nesting + 2
        )

    def _operands(
        self, args: tuple[Scalar, ...], depth: int
    ) -> tuple[list[str], list[str], int, bool]:
        """Null checks that also bind operands to names, the operands, nesting, nullability."""
        checks: list[str] = []
        operands: list[str] = []
        nesting = 0
        nullable = False
        for arg in args:
            code = self.value(arg, depth)
            nesting = max(nesting, code.nesting)
            nullable = nullable or code.nullable
            if code.is_atom:
                operands.append(code.text)
                if code.nullable:
                    checks.append(f"{code.text} is None")
                continue
            name = self._temporary()
            checks.append(f"({name} := {code.text}) is None")
            operands.append(name)
        return checks, operands, nesting, nullable

    def _connective(
        self, args: tuple[Scalar, ...], decisive: str, neutral: str, depth: int
    ) -> _Code:
        """AND and OR: the first decisive operand ends it, else a null, else the neutral value."""
        tests: list[str] = []
        nulls: list[str] = []
        nesting = 0
        for arg in args:
            code = self.value(arg, depth)
            nesting = max(nesting, code.nesting)
            if code.nullable:
                name = self._temporary()
                tests.append(f"({name} := {code.text}) is {decisive}")
                nulls.append(f"{name} is None")
            else:
                tests.append(f"{code.text} is {decisive}")
        text = f"{decisive} if {' or '.join(tests)} else "
        text += f"None if {' or '.join(nulls)} else {neutral}" if nulls else neutral
        return _Code(f"({text})", nullable=bool(nulls), nesting=nesting + 2)

    def _coalesce(self, args: tuple[Scalar, ...], depth: int) -> _Code:
        codes = [self.value(arg, depth) for arg in args]
        if len(codes) > MAX_INLINE_BRANCHES:
            name = self._temporary()
            lines: list[str] = []
            for code in codes:
                lines += [f"{name} = {code.text}", f"if {name} is not None: return {name}"]
            return self._helper([*lines, "return None"], nullable=True)
        text = codes[-1].text
        for code in reversed(codes[:-1]):
            if not code.nullable:
                text = code.text
                continue
            name = self._temporary()
            text = f"({name} if ({name} := {code.text}) is not None else {text})"
        nesting = max(code.nesting for code in codes) + len(codes) + 1
        return _Code(f"({text})", all(code.nullable for code in codes), nesting=nesting)

    def _case(self, case: Case, depth: int) -> _Code:
        tests = [self.truth(condition, depth) for condition, _ in case.branches]
        results = [self.value(result, depth) for _, result in case.branches]
        otherwise = self.value(case.otherwise, depth)
        nullable = otherwise.nullable or any(result.nullable for result in results)
        if len(tests) > MAX_INLINE_BRANCHES:
            lines = [
                f"if {test.text}: return {result.text}"
                for test, result in zip(tests, results, strict=True)
            ]
            return self._helper([*lines, f"return {otherwise.text}"], nullable=nullable)
        parts = [
            f"{result.text} if {test.text} else "
            for test, result in zip(tests, results, strict=True)
        ]
        nesting = max(code.nesting for code in (*tests, *results, otherwise)) + len(tests)
        return _Code(f"({''.join(parts)}{otherwise.text})", nullable, nesting=nesting + 1)

    def _bounded(self, code: _Code) -> _Code:
        """`code`, moved into a function of its own when it nests too deep."""
        if code.nesting <= MAX_SOURCE_NESTING:
            return code
        return self._helper([f"return {code.text}"], nullable=code.nullable)

    def _helper(self, lines: Sequence[str], *, nullable: bool) -> _Code:
        self.counter += 1
        name = f"h{self.counter}"
        self._define(name, "r", lines)
        return _Code(f"{name}(r)", nullable)

    def _define(self, name: str, parameter: str, lines: Sequence[str]) -> None:
        body = "".join(f"    {line}\n" for line in lines)
        self.functions.append(f"def {name}({parameter}):\n{body}")

    def _implementation(self, call: Call) -> str:
        function = function_by_id(call.function)
        types = [arg.type for arg in call.args]
        return self._name("f", bind(function, types, call.type, self.context))

    def _name(self, prefix: str, value: object) -> str:
        self.counter += 1
        name = f"{prefix}{self.counter}"
        self.names[name] = value
        return name

    def _temporary(self) -> str:
        self.counter += 1
        return f"t{self.counter}"
