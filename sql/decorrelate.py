"""From planned queries to relations without variables.

`Lowering.lower(hir, domain)` gives the rows of `hir` for every row of the *domain*, a
duplicate-free relation of the variables that `hir` may name: the domain's columns come first, those
of `hir` follow. An `Apply` takes as domain the distinct bindings of its input, lowers its subquery
over it and joins the result back, so any correlation costs hash joins instead of nested loops.
Frequent shapes need no domain at all: uncorrelated subqueries, filters over an uncorrelated
relation (they become join predicates), subqueries without FROM (they become scalars) and calls of
table functions (they go through the input row by row).
Source of the method: "Unnesting Arbitrary Queries" (Neumann, Kemper), as Materialize applies it.
"""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import assert_never

from core.allowance import checkpoint
from core.rows import codec_for
from core.sql_types import SqlType
from expr import relation as mir
from expr.relation import (
    Relation,
    column_types,
    map_aggregate,
    map_orders,
    map_window_function,
)
from expr.scalar import (
    Call,
    ColumnRef,
    Literal,
    Parameter,
    Scalar,
)
from sql import hir, intrinsics
from sql.domains import (
    NO_DOMAIN,
    Domain,
    in_place,
    place_apply,
    shift_within,
    skip_columns,
    through_map,
    through_project,
    within,
    within_raw,
)
from sql.hir import ApplyKind, Hir, JoinKind, free_variables, types_of
from sql.hir_shapes import (
    count_uses,
    is_row_wise,
    scalars_only,
    substitute_variables,
    yields_one_row,
    yields_one_row_at_most,
)
from sql.lowered_joins import (
    equality_of,
    filtered_join,
    inner_join,
    merge_domain,
    null_safe_pairs,
    product,
    right_based,
    split_keys,
    with_defaults,
)
from sql.nullability import nullable_columns
from sql.scope import map_columns, shift_columns
from sql.statement_context import Shared


class Lowering:
    """Lowers the parts of one statement."""

    def __init__(self, shared: Sequence[Shared]) -> None:
        self._shared = shared
        self._lowered: dict[int, Relation] = {}
        self._uses: dict[int, int] = {}
        self._ids = itertools.count(len(shared))
        self._nullable: dict[str, tuple[bool, ...]] = {}
        self._recursions: dict[int, tuple[int, Domain]] = {}
        self._known: hir.Known = {}

    def statement(self, root: Hir) -> Relation:
        """The relation of a whole query, common tables bound by Let around it."""
        for item in self._shared:
            count_uses(item.hir, self._uses)
        count_uses(root, self._uses)
        relation = self.lower(root, NO_DOMAIN)
        for item in reversed(self._shared):
            if self._uses.get(item.id, 0) > 1 and item.id in self._lowered:
                relation = mir.Let(item.id, self._lowered[item.id], relation)
        return relation

    # Dispatch

    def lower(self, node: Hir, domain: Domain) -> Relation:
        """The rows of `node` for each row of the domain."""
        checkpoint()
        if domain.columns and not (self._free(node) & domain.columns.keys()):
            return product(domain.relation, self.lower(node, NO_DOMAIN))
        match node:
            case hir.Constant(rows=rows, types=types):
                return mir.Constant(rows, types)
            case hir.Rows():
                return self._rows(node, domain)
            case hir.Get(id=id, types=types, nullable=nullable):
                self._nullable[id] = nullable
                return mir.Get(id, types)
            case hir.LocalGet(id=id, types=types):
                return self._local(id, types)
            case hir.RecursiveGet():
                return self._last_rows(node, domain)
            case hir.Recursion():
                return self._recursion(node, domain)
            case hir.Fixpoint():
                return self._fixpoint(node, domain)
            case hir.Filter(input=source, predicates=predicates):
                lowered = self.lower(source, domain)
                return mir.Filter(lowered, self._scalars(predicates, domain))
            case hir.Map(input=source, scalars=scalars):
                return mir.Map(self.lower(source, domain), self._scalars(scalars, domain))
            case hir.Project(input=source, outputs=outputs):
                width = domain.width
                kept = (*range(width), *(width + index for index in outputs))
                return mir.Project(self.lower(source, domain), kept)
            case hir.FlatMap(
                input=source, function=function, args=args, types=types, ordinality=ordinality
            ):
                lowered = self.lower(source, domain)
                return mir.FlatMap(
                    lowered, function, self._scalars(args, domain), types, ordinality
                )
            case hir.Join():
                return self._join(node, domain)
            case hir.Apply():
                return self._apply(node, domain)
            case hir.Reduce():
                return self._reduce(node, domain)
            case hir.Window():
                return self._window(node, domain)
            case hir.TopK(input=source, group_key=key, order_by=orders, limit=limit, offset=offset):
                width = domain.width
                return mir.TopK(
                    self.lower(source, domain),
                    (*range(width), *(width + index for index in key)),
                    tuple(
                        mir.ColumnOrder(width + o.column, o.descending, o.nulls_last)
                        for o in orders
                    ),
                    limit,
                    offset,
                )
            case hir.Union(inputs=inputs):
                return mir.Union(tuple(self.lower(part, domain) for part in inputs))
            case hir.Negate(input=source):
                return mir.Negate(self.lower(source, domain))
            case hir.Threshold(input=source):
                return mir.Threshold(self.lower(source, domain))
            case _:
                assert_never(node)

    def _scalars(self, scalars: Sequence[Scalar], domain: Domain) -> tuple[Scalar, ...]:
        return tuple(within(scalar, domain) for scalar in scalars)

    def _local(self, local_id: int, types: tuple[SqlType, ...]) -> Relation:
        if local_id not in self._lowered:
            self._lowered[local_id] = self.lower(self._shared[local_id].hir, NO_DOMAIN)
        if self._uses.get(local_id, 0) > 1:
            return mir.LocalGet(local_id, types)
        return self._lowered[local_id]

    def _recursion(self, node: hir.Recursion, domain: Domain) -> Relation:
        local_id = next(self._ids)
        self._recursions[node.variable] = (local_id, domain)
        base = self.lower(node.base, domain)
        return mir.Recursion(local_id, base, self.lower(node.step, domain), node.is_distinct)

    def _fixpoint(self, node: hir.Fixpoint, domain: Domain) -> Relation:
        ids = tuple(next(self._ids) for _ in node.variables)
        for variable, local_id in zip(node.variables, ids, strict=True):
            self._recursions[variable] = (local_id, domain)
        values = tuple(self.lower(value, domain) for value in node.values)
        body = self.lower(node.body, domain)
        return mir.Fixpoint(ids, values, body, node.limit, node.returns_at_limit)

    def _last_rows(self, node: hir.RecursiveGet, domain: Domain) -> Relation:
        """The rows that a recursion is at; they carry the columns of the recursion's own domain."""
        local_id, own = self._recursions[node.variable]
        last = mir.LocalGet(local_id, own.types + node.types)
        if domain is own:
            return last
        pairs: list[tuple[Scalar, Scalar]] = []
        for variable, column in own.columns.items():
            pairs.extend(
                null_safe_pairs(
                    ColumnRef(domain.columns[variable], own.types[column]),
                    ColumnRef(domain.width + column, own.types[column]),
                    own.nullable[column],
                )
            )
        joined = inner_join(domain.relation, last, [], pairs)
        first = domain.width + own.width
        return mir.Project(joined, (*range(domain.width), *range(first, first + len(node.types))))

    def _free(self, node: Hir) -> frozenset[int]:
        """The variables that `node` depends on, by the rows found last as well."""
        free = free_variables(node, self._known)
        for variable in free & self._recursions.keys():
            free |= self._recursions[variable][1].columns.keys()
        return free

    def _rows(self, node: hir.Rows, domain: Domain) -> Relation:
        if not domain.columns and all(
            isinstance(cell, Literal) for row in node.rows for cell in row
        ):
            encode = codec_for(tuple(t.base for t in node.types)).encode
            rows = tuple(
                (encode(tuple(c.value for c in row if isinstance(c, Literal))), 1)
                for row in node.rows
            )
            return mir.Constant(rows, node.types)
        return mir.Union(
            tuple(mir.Map(domain.relation, self._scalars(row, domain)) for row in node.rows)
        )

    # Joins

    def _join(self, node: hir.Join, domain: Domain) -> Relation:
        """Correlated sides share the domain; the domain's columns join them."""
        variables = domain.columns.keys()
        left_free = bool(self._free(node.left) & variables)
        right_free = bool(self._free(node.right) & variables)
        if not domain.columns:
            left = self.lower(node.left, domain)
            right = self.lower(node.right, domain)
            return self._join_sides(node, left, right, domain, both=False)
        preserves_left = node.kind in (JoinKind.LEFT, JoinKind.SEMI, JoinKind.ANTI)
        if not right_free and (preserves_left or node.kind is JoinKind.INNER):
            left = self.lower(node.left, domain)
            right = self.lower(node.right, NO_DOMAIN)
            return self._join_sides(node, left, right, domain, both=False)
        if not left_free and node.kind is JoinKind.INNER:
            return self._join_right_only(node, domain)
        left = self.lower(node.left, domain)
        right = self.lower(node.right, domain)
        return self._join_sides(node, left, right, domain, both=True)

    def _join_right_only(self, node: hir.Join, domain: Domain) -> Relation:
        """Inner join with correlation on the right alone: exchange the sides."""
        width, left_width = domain.width, len(types_of(node.left))
        right_width = len(types_of(node.right))

        def exchange(ref: ColumnRef) -> Scalar:
            moved = ref.index + right_width if ref.index < left_width else ref.index - left_width
            return ColumnRef(moved, ref.type)

        on = tuple(map_columns(test, exchange) for test in node.on)
        swapped = hir.Join(JoinKind.INNER, node.right, node.left, on)
        joined = self._join(swapped, domain)
        first = width + right_width
        order = (
            *range(width),
            *range(first, first + left_width),
            *range(width, width + right_width),
        )
        return mir.Project(joined, order)

    def _join_sides(
        self, node: hir.Join, left: Relation, right: Relation, domain: Domain, *, both: bool
    ) -> Relation:
        """Join lowered sides; with `both`, the right one has the domain's columns too."""
        width = domain.width
        left_width = len(types_of(node.left))
        right_offset = width if both else 0

        def place(ref: ColumnRef) -> Scalar:
            extra = width if ref.index < left_width else width + right_offset
            return ColumnRef(ref.index + extra, ref.type)

        on = [map_columns(within_raw(test, domain), place) for test in node.on]
        pairs = self._domain_pairs(domain, width + left_width) if both else []
        if node.kind is JoinKind.INNER:
            joined = inner_join(left, right, on, pairs)
        else:
            joined = self._outer(node, left, right, on, pairs, domain)
        if not both or node.kind in (JoinKind.SEMI, JoinKind.ANTI):
            return joined
        right_width = len(types_of(node.right))
        if node.kind is JoinKind.FULL:
            return merge_domain(joined, domain, left_width, right_width)
        first = width + left_width + width
        return mir.Project(joined, (*range(width + left_width), *range(first, first + right_width)))

    def _outer(
        self,
        node: hir.Join,
        left: Relation,
        right: Relation,
        on: list[Scalar],
        pairs: list[tuple[Scalar, Scalar]],
        domain: Domain,
    ) -> Relation:
        split = len(column_types(left))
        kind = mir.JoinKind(node.kind.value)
        if node.null_aware:
            compared = tuple(
                (shift_columns(within_raw(a, domain), domain.width), within_raw(b, domain))
                for a, b in node.pairs
            )
            if not pairs:
                return mir.OuterJoin(kind, left, right, compared, None, null_aware=True)
            shift = domain.width
            equal = intrinsics.conjunction(
                [equality_of(a, shift_columns(b, shift + split)) for a, b in compared]
            )
            on = [*on, Call("is_not_false(bool)", (equal,), equal.type)]
        keys, residual = split_keys(on, split)
        return mir.OuterJoin(kind, left, right, (*right_based(pairs, split), *keys), residual)

    def _domain_pairs(self, domain: Domain, right_start: int) -> list[tuple[Scalar, Scalar]]:
        """Equality of the domain's columns on both sides, nulls being equal."""
        pairs: list[tuple[Scalar, Scalar]] = []
        for index, (sql_type, nullable) in enumerate(
            zip(domain.types, domain.nullable, strict=True)
        ):
            left: Scalar = ColumnRef(index, sql_type)
            right: Scalar = ColumnRef(right_start + index, sql_type)
            pairs.extend(null_safe_pairs(left, right, nullable))
        return pairs

    # Apply

    def _apply(self, node: hir.Apply, domain: Domain) -> Relation:
        source = self.lower(node.input, domain)
        input_width = domain.width + len(types_of(node.input))
        places = dict(domain.columns)
        extra: list[Scalar] = []
        used = self._free(node.sub)
        constants: dict[int, Scalar] = {}
        for variable, scalar in node.bindings:
            if variable not in used:
                continue
            real = shift_within(scalar, domain)
            if isinstance(real, ColumnRef):
                places[variable] = real.index
            elif isinstance(real, Literal) or (isinstance(real, Parameter) and real.index > 0):
                constants[variable] = real
            else:
                places[variable] = input_width + len(extra)
                extra.append(real)
        sub = substitute_variables(node.sub, constants) if constants else node.sub
        if extra:
            source = mir.Map(source, tuple(extra))
        on = tuple(
            map_columns(
                within_raw(test, domain),
                lambda ref: place_apply(ref, domain.width, input_width, len(extra)),
            )
            for test in node.on
        )
        joined = self._apply_to(node.kind, source, sub, places, on)
        if not extra:
            return joined
        if node.kind in (ApplyKind.SEMI, ApplyKind.ANTI):
            return mir.Project(joined, tuple(range(input_width)))
        first = input_width + len(extra)
        return mir.Project(
            joined,
            (*range(input_width), *range(first, first + len(types_of(sub)))),
        )

    def _apply_to(
        self,
        kind: ApplyKind,
        source: Relation,
        sub: Hir,
        places: dict[int, int],
        on: tuple[Scalar, ...],
    ) -> Relation:
        """Apply `sub`, whose variables are columns of `source`; the result is source ++ sub."""
        variables = sorted(self._free(sub) & places.keys(), reverse=True)
        types = column_types(source)
        if not variables:
            return self._apply_uncorrelated(kind, source, sub, on)
        scalars = scalars_only(sub)
        if scalars is not None and kind is not ApplyKind.ANTI and kind is not ApplyKind.SEMI:
            inlined = tuple(in_place(s, places, types, len(types)) for s in scalars[0])
            if kind is ApplyKind.CROSS or not on:
                mapped: Relation = mir.Map(source, inlined)
                keep = (*range(len(types)), *(len(types) + i for i in scalars[1]))
                return mir.Project(mapped, keep)
        if kind is ApplyKind.CROSS and not on and is_row_wise(sub):
            beside = Domain(source, places, types, nullable_columns(source, self._nullable))
            return self.lower(sub, beside)
        direct = self._apply_filtered(kind, source, sub, places, on)
        if direct is not None:
            return direct
        return self._apply_over_domain(kind, source, sub, places, on, variables)

    def _apply_uncorrelated(
        self, kind: ApplyKind, source: Relation, sub: Hir, on: tuple[Scalar, ...]
    ) -> Relation:
        right = self.lower(sub, NO_DOMAIN)
        if kind is ApplyKind.CROSS:
            return product(source, right)
        if kind is ApplyKind.SCALAR:
            if not yields_one_row_at_most(sub):
                right = mir.CardinalityCheck(right, ())
            kind = ApplyKind.LEFT
            if yields_one_row(sub):
                return product(source, right)
        keys, residual = split_keys(list(on), len(column_types(source)))
        return mir.OuterJoin(mir.JoinKind(kind.value), source, right, keys, residual)

    def _apply_filtered(
        self,
        kind: ApplyKind,
        source: Relation,
        sub: Hir,
        places: dict[int, int],
        on: tuple[Scalar, ...],
    ) -> Relation | None:
        """A subquery that is an uncorrelated relation under correlated filters (and, where rows
        are only tested for, under anything that keeps the number of rows above zero)."""
        if kind is ApplyKind.SCALAR:
            return None
        predicates: list[Scalar] = []
        outputs: tuple[int, ...] | None = None
        tested_only = kind in (ApplyKind.SEMI, ApplyKind.ANTI)
        base = sub
        while self._free(base):
            match base:
                case hir.Filter(input=inner, predicates=tests):
                    if outputs is not None:
                        return None
                    predicates.extend(tests)
                    base = inner
                case hir.Project(input=inner, outputs=kept):
                    if predicates:
                        predicates = [through_project(p, kept) for p in predicates]
                    if not tested_only:
                        if outputs is not None:
                            kept = tuple(kept[i] for i in outputs)
                        outputs = kept
                        base = inner
                        if not isinstance(inner, hir.Filter):
                            return None
                        predicates.extend(inner.predicates)
                        base = inner.input
                        break
                    base = inner
                case hir.Map(input=inner, scalars=scalars) if tested_only:
                    width = len(types_of(inner))
                    predicates = [through_map(p, width, scalars) for p in predicates]
                    base = inner
                case hir.Reduce(input=inner, group_key=(), aggregates=(), default=False) if (
                    tested_only and not predicates
                ):
                    base = inner
                case _:
                    return None
        if self._free(base) or not predicates:
            return None
        right = self.lower(base, NO_DOMAIN)
        types = column_types(source)
        placed = [in_place(p, places, types, len(types)) for p in predicates]
        return filtered_join(kind, source, right, placed, on, outputs)

    def _apply_over_domain(
        self,
        kind: ApplyKind,
        source: Relation,
        sub: Hir,
        places: dict[int, int],
        on: tuple[Scalar, ...],
        variables: list[int],
    ) -> Relation:
        types = column_types(source)
        nullable = nullable_columns(source, self._nullable)
        columns = list(dict.fromkeys(places[variable] for variable in variables))
        let_id = next(self._ids)
        held = mir.LocalGet(let_id, types)
        keys = tuple(ColumnRef(index, types[index]) for index in columns)
        inner = Domain(
            mir.Reduce(held, keys, ()),
            {variable: columns.index(places[variable]) for variable in variables},
            tuple(types[index] for index in columns),
            tuple(nullable[index] for index in columns),
        )
        right = self.lower(sub, inner)
        if kind is ApplyKind.SCALAR:
            if not yields_one_row_at_most(sub):
                right = mir.CardinalityCheck(right, tuple(range(inner.width)))
            kind = ApplyKind.LEFT
        split = len(types)
        pairs: list[tuple[Scalar, Scalar]] = []
        for position, index in enumerate(columns):
            pairs.extend(
                null_safe_pairs(
                    ColumnRef(index, types[index]),
                    ColumnRef(split + position, types[index]),
                    inner.nullable[position],
                )
            )
        shifted = [skip_columns(test, split, inner.width) for test in on]
        joined: Relation
        if kind is ApplyKind.CROSS:
            joined = inner_join(held, right, shifted, pairs)
        else:
            more, residual = split_keys(shifted, split)
            joined = mir.OuterJoin(
                mir.JoinKind(kind.value),
                held,
                right,
                (*right_based(pairs, split), *more),
                residual,
            )
        if kind not in (ApplyKind.SEMI, ApplyKind.ANTI):
            first = split + inner.width
            joined = mir.Project(joined, (*range(split), *range(first, first + len(types_of(sub)))))
        return mir.Let(let_id, source, joined)

    # Grouping

    def _reduce(self, node: hir.Reduce, domain: Domain) -> Relation:
        width = domain.width
        lowered = self.lower(node.input, domain)
        prefix = tuple(ColumnRef(i, t) for i, t in enumerate(domain.types))
        keys = (*prefix, *self._scalars(node.group_key, domain))
        place = partial(within, domain=domain)
        aggregates = tuple(map_aggregate(a, place) for a in node.aggregates)
        reduced = mir.Reduce(lowered, keys, aggregates)
        if not node.default or node.group_key:
            return reduced
        if not aggregates:
            return reduced if domain.columns else mir.Union((domain.relation,))
        pairs: list[tuple[Scalar, Scalar]] = []
        for index, (sql_type, nullable) in enumerate(
            zip(domain.types, domain.nullable, strict=True)
        ):
            ref = ColumnRef(index, sql_type)
            pairs.extend(null_safe_pairs(ref, ref, nullable))
        joined = mir.OuterJoin(mir.JoinKind.LEFT, domain.relation, reduced, tuple(pairs), None)
        return with_defaults(joined, width, aggregates)

    def _window(self, node: hir.Window, domain: Domain) -> Relation:
        prefix = tuple(ColumnRef(i, t) for i, t in enumerate(domain.types))
        place = partial(within, domain=domain)
        return mir.Window(
            self.lower(node.input, domain),
            (*prefix, *self._scalars(node.partition_by, domain)),
            map_orders(node.order_by, place),
            tuple(map_window_function(function, place) for function in node.functions),
        )
