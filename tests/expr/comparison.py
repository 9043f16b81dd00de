"""Calls evaluated on both sides, and where the outcomes differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from core.sql_types import SqlType
from expr.registry import FunctionKind
from expr.scalar import EvaluationContext
from tests.expr.arguments import argument_texts
from tests.expr.evaluation import TEXT_ARRAY, UTC_CONTEXT, evaluator
from tests.expr.postgres_reference import Outcome, PostgresReference, typed
from tests.expr.signatures import Signature

Texts = tuple[str | None, ...]
MAX_BATCH = 16


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A call on which we and PostgreSQL differ."""

    signature: Signature
    texts: Texts
    sql: str
    ours: Outcome
    theirs: Outcome

    def __str__(self) -> str:
        with_bytes = self.ours.text == self.theirs.text
        ours, theirs = _shown(self.ours, with_bytes), _shown(self.theirs, with_bytes)
        return f"{self.sql}\n    ours   {ours}\n    theirs {theirs}"


def _shown(outcome: Outcome, with_bytes: bool) -> str:
    if outcome.is_error:
        return f"{outcome.sqlstate} {outcome.message}"
    return f"{outcome.type} {outcome.text!r}{f' {outcome.binary}' if with_bytes else ''}"


def batches(signature: Signature) -> st.SearchStrategy[list[Texts]]:
    """Several argument lists of a signature: one round trip of the reference."""
    arguments = argument_texts(signature.function.id, signature.function.name, signature.args)
    if not arguments:
        return st.just([()])
    return st.lists(st.tuples(*arguments), min_size=1, max_size=MAX_BATCH)


def call_sql(signature: Signature, texts: Texts) -> str:
    """The call in SQL."""
    arguments = [typed(t, s.name) for t, s in zip(texts, signature.args, strict=True)]
    return signature.sql(arguments)


def result_type(signature: Signature) -> SqlType:
    """The type of what `Signature.sql` writes: the rows of a table function are an array."""
    return TEXT_ARRAY if signature.function.kind is FunctionKind.TABLE else signature.returns


def mismatches(
    reference: PostgresReference,
    signature: Signature,
    batch: Sequence[Texts],
    context: EvaluationContext = UTC_CONTEXT,
) -> list[Mismatch]:
    """The calls of a batch on which the two sides differ."""
    evaluate = evaluator(signature, context)
    statements = [call_sql(signature, texts) for texts in batch]
    returns = result_type(signature)
    outcomes = reference.evaluate([(statement, returns) for statement in statements])
    found = []
    for texts, statement, theirs in zip(batch, statements, outcomes, strict=True):
        ours = evaluate(texts)
        if not ours.agrees_with(theirs):
            found.append(Mismatch(signature, texts, statement, ours, theirs))
    return found
