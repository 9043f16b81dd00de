"""Conditions that every branch of an OR asks for are asked once, outside of it: an equality among
them can then join.

`(a AND b) OR (a AND c)` is `a AND (b OR c)`, in three-valued logic too.
"""

from expr.scalar import Or, Scalar
from sql import intrinsics


def factored(test: Scalar) -> tuple[Scalar, ...]:
    """The conditions that `test` is the AND of."""
    if not isinstance(test, Or):
        return intrinsics.conjuncts(test)
    branches = [intrinsics.conjuncts(branch) for branch in test.args]
    common = [part for part in branches[0] if all(part in branch for branch in branches)]
    if not common:
        return (test,)
    rests = [[part for part in branch if part not in common] for branch in branches]
    if not all(rests):
        return tuple(common)
    return (*common, intrinsics.disjunction([intrinsics.conjunction(rest) for rest in rests]))
