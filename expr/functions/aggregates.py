"""The table of aggregates."""

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from core.sql_types import RECORD
from expr import aggregate_sets as sets
from expr import aggregate_sums as sums
from expr.aggregate_extremes import Extreme
from expr.aggregates import AggregateFunction
from expr.functions.arithmetic import BOUNDS
from expr.functions.interval_arithmetic import divide_interval
from expr.json_conversion import object_key, to_json_text, to_json_value
from expr.ordering import comparison_key, sort_key
from expr.registry import CallSite, FunctionKind, define

Formula = Callable[..., Fraction | None]

_ORDERABLE: Final = (
    *("bool", "bytea", "int2", "int4", "int8", "float4", "float8", "numeric", "oid", "text"),
    *("bpchar", "date", "time", "timestamp", "timestamptz", "interval", "uuid", "jsonb"),
    *("mz_timestamp", "uint2", "uint4", "uint8", "anyarray"),
)


def _aggregate(signature: str, returns: str, make: Callable[[CallSite], AggregateFunction]) -> None:
    define(signature, returns, make, kind=FunctionKind.AGGREGATE, strict=False, needs_types=True)


def _extreme(*, is_max: bool) -> Callable[[CallSite], AggregateFunction]:
    return lambda site: Extreme(
        sort_key(site.args[0], descending=is_max),
        max if is_max else min,
        is_exact=comparison_key(site.args[0]) is None,
    )


def _define_sums() -> None:
    _aggregate("count()", "int8", lambda site: sums.CountAll())
    _aggregate("count(any)", "int8", lambda site: sums.Count())
    int8 = BOUNDS["int8"]
    for name in ("int2", "int4"):
        _aggregate(f"sum({name})", "int8", lambda site: sums.IntegerSum(int8, "bigint"))
    _aggregate("sum(int8)", "numeric", lambda site: sums.IntegerSum(None, "numeric"))
    for name in ("uint2", "uint4"):
        _aggregate(f"sum({name})", "uint8", lambda site: sums.IntegerSum(BOUNDS["uint8"], "uint8"))
    _aggregate("sum(uint8)", "numeric", lambda site: sums.IntegerSum(None, "numeric"))
    _aggregate("sum(numeric)", "numeric", lambda site: sums.NumericSum())
    _aggregate("sum(float4)", "float4", lambda site: sums.FloatSum(is_single=True))
    _aggregate("sum(float8)", "float8", lambda site: sums.FloatSum(is_single=False))
    _aggregate("sum(interval)", "interval", lambda site: sums.IntervalSum(None))
    for name in ("int2", "int4", "int8", "uint2", "uint4", "uint8"):
        _aggregate(f"avg({name})", "numeric", lambda site: sums.IntegerAverage())
    _aggregate("avg(numeric)", "numeric", lambda site: sums.NumericAverage())
    for name in ("float4", "float8"):
        _aggregate(f"avg({name})", "float8", lambda site: sums.FloatAverage())
    _aggregate("avg(interval)", "interval", lambda site: sums.IntervalSum(divide_interval))


def _define_sets() -> None:
    for name in _ORDERABLE:
        _aggregate(f"max({name})", name, _extreme(is_max=True))
        _aggregate(f"min({name})", name, _extreme(is_max=False))
    for name in ("bool_and", "every"):
        _aggregate(f"{name}(bool)", "bool", lambda site: sets.BooleanFold(decisive=False))
    _aggregate("bool_or(bool)", "bool", lambda site: sets.BooleanFold(decisive=True))
    for name in ("int2", "int4", "int8"):
        _aggregate(f"bit_and({name})", name, lambda site: sets.BitFold(operator.and_))
        _aggregate(f"bit_or({name})", name, lambda site: sets.BitFold(operator.or_))
        _aggregate(
            *(f"bit_xor({name})", name),
            lambda site: sets.BitFold(operator.xor, counts_parity=True),
        )
    _aggregate("array_agg(anynonarray)", "anyarray", lambda site: sets.collect_array(nested=False))
    _aggregate("array_agg(anyarray)", "anyarray", lambda site: sets.collect_array(nested=True))
    _aggregate("array_concat_agg(anyarray)", "anyarray", lambda site: sets.ArrayConcatenation())
    for name in ("text", "bytea"):
        _aggregate(
            *(f"string_agg({name},{name})", name),
            lambda site: sets.Collect(sets.collect_string, skips_null=True),
        )
    _aggregate(
        *("any_value(anyelement)", "anyelement"),
        lambda site: sets.Collect(lambda rows: rows[0][0], skips_null=True),
    )


def _define_json() -> None:
    _aggregate(
        *("jsonb_agg(anyelement)", "jsonb"),
        lambda site: sets.collect_jsonb(to_json_value(site.args[0], site.context)),
    )
    _aggregate(
        *("json_agg(anyelement)", "json"),
        lambda site: sets.collect_json(
            to_json_text(site.args[0], site.context),
            breaks_lines=site.args[0].element is not None or site.args[0] == RECORD,
        ),
    )
    _aggregate(
        *("jsonb_object_agg(any,any)", "jsonb"),
        lambda site: sets.collect_jsonb_object(
            object_key(site.args[0], site.context), to_json_value(site.args[1], site.context)
        ),
    )
    _aggregate(
        *("json_object_agg(any,any)", "json"),
        lambda site: sets.collect_json_object(
            object_key(site.args[0], site.context), to_json_text(site.args[1], site.context)
        ),
    )


def _sxx(n: int, x: Fraction, xx: Fraction, *_: Any) -> Fraction:
    return xx - x * x / n


def _syy(n: int, x: Fraction, xx: Fraction, y: Fraction, yy: Fraction, xy: Fraction) -> Fraction:
    return yy - y * y / n


def _sxy(n: int, x: Fraction, xx: Fraction, y: Fraction, yy: Fraction, xy: Fraction) -> Fraction:
    return xy - x * y / n


def _correlation_square(*m: Any) -> Fraction | None:
    sxx, syy = _sxx(*m), _syy(*m)
    return None if sxx == 0 or syy == 0 else _sxy(*m) ** 2 / (sxx * syy)


def _correlation(*m: Any) -> Fraction | None:
    square = _correlation_square(*m)
    if square is None:
        return None
    root = float(square) ** 0.5
    return Fraction(min(root, 1.0)) * (-1 if _sxy(*m) < 0 else 1)


def _slope(*m: Any) -> Fraction | None:
    sxx = _sxx(*m)
    return None if sxx == 0 else _sxy(*m) / sxx


def _intercept(*m: Any) -> Fraction | None:
    slope = _slope(*m)
    return None if slope is None else (m[3] - slope * m[1]) / m[0]


def _determination(*m: Any) -> Fraction | None:
    if _sxx(*m) == 0:
        return None
    return Fraction(1) if _syy(*m) == 0 else _correlation_square(*m)


def _numeric_variance(*, is_sample: bool, is_root: bool) -> Callable[[CallSite], AggregateFunction]:
    return lambda site: sums.NumericVariance(is_sample=is_sample, is_root=is_root)


def _float_variance(*, is_sample: bool, is_root: bool) -> Callable[[CallSite], AggregateFunction]:
    missing = 1 if is_sample else 0

    def variance(n: int, x: Fraction, xx: Fraction, *_: Any) -> Fraction:
        return _sxx(n, x, xx) / (n - missing)

    return lambda site: sums.FloatMoments(variance, columns=1, root=is_root, minimum=1 + missing)


def _pair_moments(formula: Formula, minimum: int) -> Callable[[CallSite], AggregateFunction]:
    return lambda site: sums.FloatMoments(formula, columns=2, minimum=minimum)


def _define_statistics() -> None:
    for name, is_sample, is_root in (
        *(("variance", True, False), ("var_samp", True, False), ("var_pop", False, False)),
        *(("stddev", True, True), ("stddev_samp", True, True), ("stddev_pop", False, True)),
    ):
        for source in ("int2", "int4", "int8", "numeric"):
            _aggregate(
                *(f"{name}({source})", "numeric"),
                _numeric_variance(is_sample=is_sample, is_root=is_root),
            )
        for source in ("float4", "float8"):
            _aggregate(
                *(f"{name}({source})", "float8"),
                _float_variance(is_sample=is_sample, is_root=is_root),
            )
    formulas: dict[str, tuple[Formula, int]] = {
        "corr": (_correlation, 1),
        "covar_pop": (lambda *m: _sxy(*m) / m[0], 1),
        "covar_samp": (lambda *m: _sxy(*m) / (m[0] - 1), 2),
        "regr_avgx": (lambda *m: m[1] / m[0], 1),
        "regr_avgy": (lambda *m: m[3] / m[0], 1),
        "regr_sxx": (_sxx, 1),
        "regr_syy": (_syy, 1),
        "regr_sxy": (_sxy, 1),
        "regr_slope": (_slope, 1),
        "regr_intercept": (_intercept, 1),
        "regr_r2": (_determination, 1),
    }
    for name, (formula, minimum) in formulas.items():
        _aggregate(f"{name}(float8,float8)", "float8", _pair_moments(formula, minimum))
    _aggregate("regr_count(float8,float8)", "int8", lambda site: _PairCount())


class _PairCount(sums.CountAll):
    """regr_count: the pairs without a null."""

    def add(self, state: int, args: tuple[Any, ...], diff: int) -> int:
        return state if None in args else state + diff

    def bulk(self, columns: Any) -> int:
        return sum(None not in pair for pair in zip(*columns, strict=True))


_define_sums()
_define_sets()
_define_json()
_define_statistics()
