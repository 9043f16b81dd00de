"""Constant folding of scalars within a step budget."""

from expr.scalar import EvaluationContext, Scalar


def fold(scalar: Scalar, context: EvaluationContext) -> Scalar:
    """`scalar` with constant subexpressions evaluated.

    Errors stay unfolded: they are raised at run time and only if evaluated. Volatile functions and
    expensive calls stay as they are.
    """
    raise NotImplementedError
