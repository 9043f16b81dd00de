"""The order in which the rules run."""

from expr.relation import Relation
from expr.scalar import EvaluationContext
from sql.optimizer.constants import fold_constants
from sql.optimizer.predicates import push_predicates
from sql.optimizer.projections import prune_columns
from sql.optimizer.row_numbers import limit_row_numbers
from sql.optimizer.simplify import inline_lets, simplify

_ROUNDS = 2


def optimize(relation: Relation, context: EvaluationContext) -> Relation:
    """An equivalent relation that costs less."""
    relation = fold_constants(relation, context)
    for _ in range(_ROUNDS):
        before = relation
        relation = simplify(inline_lets(relation))
        relation = push_predicates(relation)
        relation = limit_row_numbers(relation)
        relation = simplify(relation)
        if relation == before:
            break
    relation = prune_columns(relation)
    return simplify(fold_constants(relation, context))
