"""Inner joins as one flat node: inputs, equivalences, and the predicates between them.

Nested inner joins become one, equalities between inputs become equivalences, equivalences that
share a scalar become one, and a scalar equal to a constant makes all its equals equal to it.
"""

from collections.abc import Callable

from core.allowance import checkpoint
from expr.relation import Filter, Join, Project, Relation, column_types
from expr.scalar import Call, ColumnRef, Literal, Parameter, Scalar
from sql import intrinsics
from sql.equality import equality_pair
from sql.operators import equality_id
from sql.optimizer.volatility import is_volatile
from sql.scope import columns_in, map_columns, shift_columns

Push = Callable[[Relation, list[Scalar]], Relation]


class JoinBuilder:
    """Collects the parts of a join tree."""

    def __init__(self) -> None:
        self._inputs: list[Relation] = []
        self._starts: list[int] = []
        self._width = 0
        self._classes: list[list[Scalar]] = []
        self._predicates: list[Scalar] = []
        self._outputs: tuple[int, ...] | None = None

    def add_join(self, node: Join) -> None:
        """Take the inputs of a join, joins within it flattened; predicates are over its columns."""
        places: list[int] = []
        pending: list[Scalar] = []
        for part in node.inputs:
            places.extend(self._add_input(part, pending))
        self._outputs = tuple(places)
        for equivalence in node.equivalences:
            self._add_class([self._placed(scalar) for scalar in equivalence])
        for test in pending:
            self._add_test(test)

    def _add_input(self, part: Relation, pending: list[Scalar]) -> list[int]:
        """Add an input; the places of its columns in the flat join."""
        match part:
            case Join(inputs=inputs, equivalences=equivalences):
                places: list[int] = []
                for inner in inputs:
                    places.extend(self._add_input(inner, pending))
                for equivalence in equivalences:
                    self._add_class([_at(scalar, places) for scalar in equivalence])
                return places
            case Filter(input=source, predicates=predicates) if _is_join(source):
                if not any(map(is_volatile, predicates)):
                    places = self._add_input(source, pending)
                    pending.extend(_at(test, places) for test in predicates)
                    return places
            case Project(input=source, outputs=outputs) if _is_join(source):
                places = self._add_input(source, pending)
                return [places[index] for index in outputs]
        start = self._width
        self._inputs.append(part)
        self._starts.append(start)
        self._width += len(column_types(part))
        return list(range(start, self._width))

    def _placed(self, scalar: Scalar) -> Scalar:
        assert self._outputs is not None
        return _at(scalar, self._outputs)

    def add_predicate(self, test: Scalar) -> None:
        """Take a predicate over the columns of the join that was added."""
        for part in intrinsics.conjuncts(test):
            self._add_test(self._placed(part))

    def _add_test(self, test: Scalar) -> None:
        pair = equality_pair(test)
        if pair is not None:
            sides = [self._input_of(scalar) for scalar in pair]
            if None not in sides and sides[0] != sides[1]:
                self._add_class(list(pair))
                return
        self._predicates.append(test)

    def _add_class(self, scalars: list[Scalar]) -> None:
        merged = list(dict.fromkeys(scalars))
        rest = []
        for existing in self._classes:
            checkpoint()
            if any(scalar in existing for scalar in merged):
                merged = list(dict.fromkeys([*existing, *merged]))
            else:
                rest.append(existing)
        self._classes = [*rest, merged]

    def _input_of(self, scalar: Scalar) -> int | None:
        """The one input whose columns `scalar` names; None for none or several."""
        checkpoint()
        found: set[int] = set()
        columns_in(scalar, found)
        inputs = {self._locate(index) for index in found}
        return inputs.pop() if len(inputs) == 1 else None

    def _locate(self, column: int) -> int:
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            if self._starts[middle] <= column:
                low = middle
            else:
                high = middle
        return low

    def build(self, push: Push) -> Relation:
        """The join, with predicates of single inputs pushed into these by `push`."""
        tests: list[list[Scalar]] = [[] for _ in self._inputs]
        above: list[Scalar] = []
        self._spread_constants()
        for test in self._predicates:
            place = None if is_volatile(test) else self._input_of(test)
            if place is None:
                above.append(test)
            else:
                tests[place].append(shift_columns(test, -self._starts[place]))
        classes = []
        for members in self._classes:
            kept = self._spread_class(members, tests, above)
            if len(kept) > 1:
                classes.append(tuple(kept))
        inputs = tuple(push(part, tests[i]) for i, part in enumerate(self._inputs))
        joined: Relation
        if len(inputs) == 1 and not classes:
            joined = inputs[0]
        else:
            joined = Join(inputs, tuple(classes))
        if above:
            joined = Filter(joined, tuple(above))
        assert self._outputs is not None
        if self._outputs == tuple(range(self._width)):
            return joined
        return Project(joined, self._outputs)

    def _spread_constants(self) -> None:
        """`a = b` and `a = 1` also mean `b = 1`."""
        known: list[Scalar] = []
        for test in self._predicates:
            if not (isinstance(test, Call) and test.function.startswith("=(")):
                continue
            for subject, constant in (test.args, test.args[::-1]):
                if not isinstance(constant, (Literal, Parameter)):
                    continue
                for members in self._classes:
                    if subject not in members:
                        continue
                    for other in members:
                        if other != subject and other.type.oid == subject.type.oid:
                            swapped = test.args[0] is not subject
                            args = (constant, other) if swapped else (other, constant)
                            known.append(Call(test.function, args, test.type))
        for test in known:
            if test not in self._predicates:
                self._predicates.append(test)

    def _spread_class(
        self, members: list[Scalar], tests: list[list[Scalar]], above: list[Scalar]
    ) -> list[Scalar]:
        """One member for each input; members of the same input are compared there."""
        chosen: dict[int, Scalar] = {}
        kept: list[Scalar] = []
        for scalar in members:
            place = self._input_of(scalar)
            if place is None:
                above.append(_equal(members[0], scalar))
            elif place in chosen:
                offset = -self._starts[place]
                first = shift_columns(chosen[place], offset)
                tests[place].append(_equal(first, shift_columns(scalar, offset)))
            else:
                chosen[place] = scalar
                kept.append(scalar)
        if len(kept) == 1 and len(members) > 1:
            return []
        return kept


def _is_join(node: Relation) -> bool:
    while isinstance(node, (Project, Filter)):
        node = node.input
    return isinstance(node, Join)


def _at(scalar: Scalar, places: list[int] | tuple[int, ...]) -> Scalar:
    return map_columns(scalar, lambda ref: ColumnRef(places[ref.index], ref.type))


def _equal(left: Scalar, right: Scalar) -> Scalar:
    function = equality_id(left.type, right.type)
    return Call(function, (left, right), intrinsics.TRUE.type)
