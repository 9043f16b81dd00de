"""Parsing of scalar expressions and type names.

Operator precedence is PostgreSQL's, by binding powers (its manual, "4.1.6. Operator Precedence").
A chain of one operator makes a tree as deep as it is long, so chains are bounded as brackets are.
"""

from typing import TYPE_CHECKING, Final

from core.errors import SYNTAX_ERROR, UNDEFINED_PARAMETER, SqlError
from sql import limits
from sql import syntax as ast
from sql.keywords import COLUMN_NAMES, NOT_COLUMN, NOT_FUNCTION
from sql.lexer import Token
from sql.type_parser import TYPE_WORDS, TypeParser

_OR, _AND, _NOT, _IS, _COMPARISON, _RANGE, _OTHER = 1, 2, 3, 4, 5, 6, 7
_ADDITIVE, _MULTIPLICATIVE, _POWER, _AT, _COLLATE, _UNARY, _SUBSCRIPT, _CAST = range(8, 16)

_COMPARISONS: Final = frozenset({"<", ">", "=", "<=", ">=", "<>"})
_BINARY_POWERS: Final = {
    **dict.fromkeys(_COMPARISONS, _COMPARISON),
    "+": _ADDITIVE,
    "-": _ADDITIVE,
    "*": _MULTIPLICATIVE,
    "/": _MULTIPLICATIVE,
    "%": _MULTIPLICATIVE,
    "^": _POWER,
}
_WORD_POWERS: Final = {
    "or": _OR,
    "and": _AND,
    "is": _IS,
    "isnull": _IS,
    "notnull": _IS,
    "between": _RANGE,
    "in": _RANGE,
    "like": _RANGE,
    "ilike": _RANGE,
    "similar": _RANGE,
    "not": _RANGE,
    "operator": _OTHER,
    "overlaps": _OTHER,
    "at": _AT,
    "collate": _COLLATE,
}
_NOT_FOLLOWERS: Final = frozenset({"between", "in", "like", "ilike", "similar"})
_SESSION_VALUES: Final = frozenset(
    """current_date current_time current_timestamp localtime localtimestamp current_catalog
    current_role current_user session_user user current_schema""".split()
)
_SPECIAL_WORDS: Final = COLUMN_NAMES | {"current_schema"}
_PRECISION_VALUES: Final = frozenset(
    "current_time current_timestamp localtime localtimestamp".split()
)


class ExpressionParser(TypeParser):
    """Expressions over a cursor. `query` and friends come with the query parser."""

    if TYPE_CHECKING:

        def query(self) -> ast.Query: ...

        def at_query(self, ahead: int = 0) -> bool: ...

        def special_call(self, word: str, token: Token) -> ast.Expression | None: ...

        def window_reference(self) -> ast.WindowSpecification: ...

    def expression(self, power: int = 0) -> ast.Expression:
        """An expression whose operators all bind tighter than `power`."""
        self.enter()
        left = self._prefix()
        chain = 0
        while True:
            token = self.token
            kind = token.kind
            if kind == "o":
                found = _BINARY_POWERS.get(token.value, _OTHER)
            elif kind == "w":
                found = _WORD_POWERS.get(token.value, 0)
                if found and not self._is_infix_word(token):
                    found = 0
            elif kind == "c" and (token.value == "::" or token.value == "["):
                found = _CAST
            else:
                found = 0
            if found <= power:
                break
            chain += 1
            if chain > limits.MAX_OPERATOR_CHAIN:
                raise limits.too_deep()
            left = self._infix(left, token, found)
        self.depth -= 1
        return left

    def expressions(self) -> tuple[ast.Expression, ...]:
        """One or more expressions, separated by commas."""
        items = [self.expression()]
        while self.accept(","):
            items.append(self.expression())
        return tuple(items)

    def _is_infix_word(self, token: Token) -> bool:
        following = self.peek()
        match token.value:
            case "not":
                return following.kind == "w" and following.value in _NOT_FOLLOWERS
            case "operator":
                return following.kind == "c" and following.value == "("
            case "at":
                return following.kind == "w" and following.value in ("time", "local")
            case _:
                return True

    # Prefixes

    def _prefix(self) -> ast.Expression:
        token = self.token
        if token.kind == "w" and token.value == "not":
            self.advance()
            return ast.Negation(self.expression(_NOT - 1), token.start)
        if token.kind == "o":
            self.advance()
            if token.value not in ("+", "-"):
                if token.value in _COMPARISONS or token.value in ("*", "/", "%", "^"):
                    self.fail(token)
                return ast.Operator(token.value, None, self.expression(_OTHER), token.start)
            return self._signed(token)
        if token.kind == "w" and token.value == "operator" and self.peek().value == "(":
            schema, name = self._qualified_operator()
            return ast.Operator(name, None, self.expression(_OTHER), token.start, schema)
        return self._indirections(self._primary(token))

    def _signed(self, sign: Token) -> ast.Expression:
        operand = self.expression(_UNARY)
        if sign.value == "-" and type(operand) is ast.NumberLiteral:
            text = operand.text
            return ast.NumberLiteral(text[1:] if text[0] == "-" else "-" + text, sign.start)
        return ast.Operator(sign.value, None, operand, sign.start)

    def _qualified_operator(self) -> tuple[str | None, str]:
        """`OPERATOR(schema.op)`."""
        self.advance()
        self.expect("(")
        schema: str | None = None
        while self.token.kind in "wq":
            schema = self.advance().value
            self.expect(".")
        if self.token.kind != "o":
            self.fail()
        name = self.advance().value
        self.expect(")")
        return schema, name

    # Infixes and postfixes

    def _infix(self, left: ast.Expression, token: Token, power: int) -> ast.Expression:
        if token.kind == "c":
            if token.value == "::":
                self.advance()
                return ast.CastExpression(left, self.type_name(), token.start)
            return self._subscripts(left)
        if token.kind == "o":
            self.advance()
            if self.at_word("any", "some", "all") and self.peek().value == "(":
                return self._quantified(left, token.value, token)
            right = self.expression(power)
            if power == _COMPARISON and self._at_comparison():
                self.fail()
            return ast.Operator(token.value, left, right, token.start)
        match token.value:
            case "and":
                return ast.Conjunction(self._chain(left, "and", _AND), token.start)
            case "or":
                return ast.Disjunction(self._chain(left, "or", _OR), token.start)
            case "is":
                return self._is_test(left)
            case "isnull" | "notnull":
                self.advance()
                return ast.IsTest(left, "null", token.value == "notnull", token.start)
            case "operator":
                schema, name = self._qualified_operator()
                if self.at_word("any", "some", "all") and self.peek().value == "(":
                    return self._quantified(left, name, token)
                return ast.Operator(name, left, self.expression(_OTHER), token.start, schema)
            case "at":
                return self._at_time_zone(left, token)
            case "collate":
                self.advance()
                return ast.CollateExpression(left, self._any_name(), token.start)
            case "overlaps":
                self.advance()
                right = self.expression(_OTHER)
                return _overlaps(left, right, token)
            case _:
                return self._range_test(left, token)

    def _at_comparison(self) -> bool:
        return self.token.kind == "o" and self.token.value in _COMPARISONS

    def _chain(self, left: ast.Expression, word: str, power: int) -> tuple[ast.Expression, ...]:
        args = [left]
        while self.accept_word(word):
            args.append(self.expression(power))
        return tuple(args)

    def _is_test(self, left: ast.Expression) -> ast.Expression:
        start = self.advance().start
        negated = self.accept_word("not") is not None
        if self.accept_words("distinct", "from"):
            right = self.expression(_IS)
            return ast.DistinctTest(left, right, negated, start)
        if self.at_word("json", "document", "normalized"):
            raise SqlError("0A000", f"IS {self.token.value.upper()} is not supported")
        test = self.expect_word("null", "true", "false", "unknown")
        return ast.IsTest(left, test, negated, start)

    def _at_time_zone(self, left: ast.Expression, token: Token) -> ast.Expression:
        self.advance()
        if self.accept_word("local"):
            return ast.FunctionCall(("pg_catalog", "timezone"), (left,), token.start)
        self.expect_words("time", "zone")
        zone = self.expression(_AT)
        return ast.FunctionCall(("pg_catalog", "timezone"), (zone, left), token.start)

    def _range_test(self, left: ast.Expression, token: Token) -> ast.Expression:
        negated = self.accept_word("not") is not None
        word = self.expect_word("between", "in", "like", "ilike", "similar")
        start = token.start
        if word == "between":
            symmetric = self.accept_word("symmetric", "asymmetric") == "symmetric"
            low = self.expression(_RANGE)
            self.expect_word("and")
            high = self.expression(_RANGE)
            return ast.Between(left, low, high, negated, symmetric, start)
        if word == "in":
            self.expect("(")
            if self.at_query():
                query = self.query()
                self.expect(")")
                return ast.InQuery(left, query, negated, start)
            items = self.expressions()
            self.expect(")")
            return ast.InList(left, items, negated, start)
        return self._pattern_match(left, word, negated, start)

    def _pattern_match(
        self, left: ast.Expression, word: str, negated: bool, start: int
    ) -> ast.Expression:
        operator = {"like": "~~", "ilike": "~~*", "similar": "~"}[word]
        if negated:
            operator = "!" + operator
        if word == "similar":
            self.expect_word("to")
        elif self.at_word("any", "some", "all") and self.peek().value == "(":
            return self._quantified(left, operator, self.token)
        pattern = self.expression(_RANGE)
        escape = self.expression(_RANGE) if self.accept_word("escape") else None
        return ast.PatternMatch(operator, left, pattern, escape, word == "similar", start)

    def _quantified(self, left: ast.Expression, operator: str, at: Token) -> ast.Expression:
        is_all = self.advance().value == "all"
        self.expect("(")
        right: ast.Expression | ast.Query = self.query() if self.at_query() else self.expression()
        self.expect(")")
        return ast.Quantified(left, operator, is_all, right, at.start)

    # Subscripts and fields

    def _indirections(self, base: ast.Expression) -> ast.Expression:
        while self.at("."):
            if isinstance(base, (ast.ColumnName, ast.NumberLiteral, ast.StringLiteral)):
                break
            self.advance()
            if self.at_operator("*"):
                return ast.CompositeStar(base, self.advance().start)
            start = self.token.start
            base = ast.FieldSelection(base, self.label(), start)
        return base

    def _subscripts(self, base: ast.Expression) -> ast.Expression:
        count = 0
        while self.at("["):
            count += 1
            if count > limits.MAX_SUBSCRIPTS:
                raise limits.too_deep()
            start = self.advance().start
            lower: ast.Expression | None = None
            upper: ast.Expression | None = None
            is_slice = False
            if not self.at(":"):
                lower = self.expression()
            if self.accept(":"):
                is_slice = True
                if not self.at("]"):
                    upper = self.expression()
            self.expect("]")
            base = ast.Subscript(base, lower, upper, is_slice, start)
        return self._indirections(base)

    # Primaries

    def _primary(self, token: Token) -> ast.Expression:
        kind = token.kind
        if kind == "w":
            return self._word(token)
        if kind == "q":
            return self._named(token)
        if kind == "n":
            self.advance()
            return ast.NumberLiteral(token.value, token.start)
        if kind == "s":
            self.advance()
            return ast.StringLiteral(token.value, token.start)
        if kind == "p":
            self.advance()
            return self._parameter(token)
        if kind == "c" and token.value == "(":
            return self._parenthesis(token)
        if kind == "b":
            raise SqlError("0A000", "bit strings are not supported", position=token.start + 1)
        raise self.unexpected()

    def _parameter(self, token: Token) -> ast.Expression:
        if len(token.value) > 9:
            raise SqlError(
                SYNTAX_ERROR,
                f'parameter number too large at or near "{self.text[token.start : token.end]}"',
                position=token.start + 1,
            )
        index = int(token.value)
        if not 1 <= index <= limits.MAX_PARAMETERS:
            raise SqlError(
                UNDEFINED_PARAMETER, f"there is no parameter ${index}", position=token.start + 1
            )
        self.parameter_count = max(self.parameter_count, index)
        return ast.ParameterReference(index, token.start)

    def _parenthesis(self, token: Token) -> ast.Expression:
        if self.at_query(1):
            return self._parenthesized_query(token)
        self.advance()
        first = self.expression()
        if self.at(","):
            items = [first]
            while self.accept(","):
                items.append(self.expression())
            self.expect(")")
            return ast.RowExpression(tuple(items), False, token.start)
        self.expect(")")
        if type(first) is ast.ColumnName and (self.at(".") or self.at("[")):
            return self._parenthesized_column(first)
        return first

    def _parenthesized_column(self, column: ast.ColumnName) -> ast.Expression:
        """`(t).field`, which is not `t.field`."""
        if not self.at("."):
            return column
        self.advance()
        if self.at_operator("*"):
            return ast.CompositeStar(column, self.advance().start)
        start = self.token.start
        return ast.FieldSelection(column, self.label(), start)

    def _parenthesized_query(self, token: Token) -> ast.Expression:
        self.advance()
        query = self.query()
        self.expect(")")
        return ast.ScalarSubquery(query, token.start)

    def _word(self, token: Token) -> ast.Expression:
        word = token.value
        if word not in NOT_COLUMN and word not in _SPECIAL_WORDS:
            return self._named(token)
        following = self.peek()
        opens = following.kind == "c" and following.value == "("
        match word:
            case "null":
                self.advance()
                return ast.NullLiteral(token.start)
            case "true" | "false":
                self.advance()
                return ast.BooleanLiteral(word == "true", token.start)
            case "case":
                return self._case()
            case "cast" if opens:
                return self._cast()
            case "array":
                return self._array()
            case "default":
                self.advance()
                return ast.DefaultMarker(token.start)
            case "exists" if opens:
                self.advance()
                self.expect("(")
                query = self.query()
                self.expect(")")
                return ast.ExistsSubquery(query, token.start)
            case "row" if opens:
                self.advance()
                self.advance()
                items = () if self.at(")") else self.expressions()
                self.expect(")")
                return ast.RowExpression(items, True, token.start)
            case "interval" if following.kind == "s" or opens:
                return self._interval()
        if word in _SESSION_VALUES and not (word == "current_schema" and opens):
            return self._session_value(token)
        if opens:
            special = self.special_call(word, token)
            if special is not None:
                return special
        if self._at_typed_literal():
            return self._typed_literal()
        return self._named(token)

    def _session_value(self, token: Token) -> ast.Expression:
        self.advance()
        precision: int | None = None
        if token.value in _PRECISION_VALUES and self.accept("("):
            precision = self.integer()
            self.expect(")")
        return ast.SessionValue(token.value, precision, token.start)

    def _case(self) -> ast.Expression:
        start = self.advance().start
        arg = None if self.at_word("when") else self.expression()
        branches = []
        while self.accept_word("when"):
            condition = self.expression()
            self.expect_word("then")
            branches.append((condition, self.expression()))
        if not branches:
            self.fail()
        otherwise = self.expression() if self.accept_word("else") else None
        self.expect_word("end")
        return ast.CaseExpression(arg, tuple(branches), otherwise, start)

    def _cast(self) -> ast.Expression:
        start = self.advance().start
        self.expect("(")
        arg = self.expression()
        self.expect_word("as")
        target = self.type_name()
        self.expect(")")
        return ast.CastExpression(arg, target, start)

    def _array(self) -> ast.Expression:
        start = self.advance().start
        if self.accept("("):
            query = self.query()
            self.expect(")")
            return ast.ArraySubquery(query, start)
        if not self.at("["):
            self.fail()
        return self._array_items(start)

    def _array_items(self, start: int) -> ast.Expression:
        self.enter()
        self.expect("[")
        items: list[ast.Expression] = []
        while not self.at("]"):
            if items:
                self.expect(",")
            at = self.token.start
            items.append(self._array_items(at) if self.at("[") else self.expression())
        self.advance()
        self.depth -= 1
        return ast.ArrayExpression(tuple(items), start)

    # Names, function calls, typed literals

    def _named(self, token: Token) -> ast.Expression:
        """A column, a function call or a typed literal, from a word without special syntax."""
        following = self.peek()
        if following.kind == "s" and self._at_typed_literal():
            return self._typed_literal()
        is_function = token.kind == "q" or token.value not in NOT_FUNCTION
        if is_function and following.kind == "c" and following.value == "(":
            self.advance()
            return self._after_call_name((token.value,), token)
        if token.kind == "w" and token.value in NOT_COLUMN:
            if not (is_function and following.kind == "c" and following.value == "."):
                self.fail(token if not is_function else following)
        self.advance()
        parts = [token.value]
        while self.at("."):
            self.advance()
            if self.at_operator("*"):
                self.advance()
                return ast.Star(tuple(parts), token.start)
            parts.append(self.label())
        if len(parts) > 1 and self.at("("):
            return self._after_call_name(tuple(parts), token)
        if len(parts) > 1 and self.token.kind == "s":
            target = ast.TypeName(tuple(parts), pos=token.start)
            value = self.advance()
            return ast.CastExpression(
                ast.StringLiteral(value.value, value.start), target, token.start
            )
        return ast.ColumnName(tuple(parts), token.start)

    def _after_call_name(self, name: ast.Name, token: Token) -> ast.Expression:
        mark = self.index
        call = self.call_arguments(name, token)
        if (
            self.token.kind == "s"
            and not call.is_star
            and all(isinstance(arg, ast.NumberLiteral) for arg in call.args)
        ):
            self.seek(mark - 1 if len(name) == 1 else mark - (2 * len(name) - 1))
            return self._typed_literal()
        return call

    def call_arguments(self, name: ast.Name, token: Token) -> ast.FunctionCall:
        """The rest of a call, from its opening parenthesis on."""
        self.expect("(")
        distinct = variadic = False
        args: list[ast.Expression] = []
        names: list[str | None] = []
        order_by: tuple[ast.OrderItem, ...] = ()
        is_star = False
        if self.at_operator("*") and self.peek().value == ")":
            self.advance()
            is_star = True
        elif not self.at(")"):
            distinct = self.accept_word("distinct") is not None
            if not distinct:
                self.accept_word("all")
            while True:
                variadic = self.accept_word("variadic") is not None
                names.append(self._argument_name())
                args.append(self.expression())
                if variadic or not self.accept(","):
                    break
            if self.at_word("order"):
                order_by = self.order_by_clause()
        self.expect(")")
        within_group = False
        if self.accept_words("within", "group"):
            self.expect("(")
            order_by = self.order_by_clause()
            self.expect(")")
            within_group = True
        condition: ast.Expression | None = None
        if self.at_word("filter") and self.peek().value == "(":
            self.advance()
            self.expect("(")
            self.expect_word("where")
            condition = self.expression()
            self.expect(")")
        self._null_treatment()
        over = self.window_reference() if self.accept_word("over") else None
        return ast.FunctionCall(
            name,
            tuple(args),
            token.start,
            is_star=is_star,
            distinct=distinct,
            variadic=variadic,
            order_by=order_by,
            within_group=within_group,
            filter=condition,
            over=over,
            argument_names=tuple(names) if any(names) else (),
        )

    def _null_treatment(self) -> None:
        if self.at_words("ignore", "nulls"):
            raise SqlError("0A000", "IGNORE NULLS is not supported", position=self.token.start + 1)
        self.accept_words("respect", "nulls")

    def _argument_name(self) -> str | None:
        following = self.peek()
        named = (following.kind == "c" and following.value == ":=") or (
            following.kind == "o" and following.value == "=>"
        )
        if not (named and self.token.kind in "wq"):
            return None
        name = self.advance().value
        self.advance()
        return name

    def _at_typed_literal(self) -> bool:
        """Whether a type name followed by a string constant is next."""
        mark = self.index
        token = self.token
        if token.kind == "w" and token.value in NOT_COLUMN:
            return False
        if token.kind == "q" or (token.value not in TYPE_WORDS and self.peek().value != "("):
            return self.peek().kind == "s"
        try:
            self.type_name()
            return self.token.kind == "s"
        except SqlError:
            return False
        finally:
            self.seek(mark)

    def _typed_literal(self) -> ast.Expression:
        start = self.token.start
        target = self.type_name(allow_array=False)
        value = self.token
        text = self.string()
        return ast.CastExpression(ast.StringLiteral(text, value.start), target, start)

    def _interval(self) -> ast.Expression:
        start = self.advance().start
        precision = self._interval_precision() if self.at("(") else None
        value = self.token
        text = self.string()
        modifier = self.interval_fields(precision)
        modifiers = () if modifier is None else (modifier,)
        target = ast.TypeName(("interval",), modifiers, 0, start)
        return ast.CastExpression(ast.StringLiteral(text, value.start), target, start)

    def _interval_precision(self) -> int:
        self.expect("(")
        precision = self.integer()
        self.expect(")")
        return precision

    # Order

    def order_by_clause(self) -> tuple[ast.OrderItem, ...]:
        """`ORDER BY item, …`."""
        self.expect_words("order", "by")
        items = [self._order_item()]
        while self.accept(","):
            items.append(self._order_item())
        return tuple(items)

    def _order_item(self) -> ast.OrderItem:
        start = self.token.start
        expression = self.expression()
        descending = self.accept_word("asc", "desc") == "desc"
        if self.accept_word("using"):
            descending = self.accept_operator("<", ">") == ">"
        nulls_first: bool | None = None
        if self.accept_word("nulls"):
            nulls_first = self.expect_word("first", "last") == "first"
        return ast.OrderItem(expression, descending, nulls_first, start)

    def _any_name(self) -> ast.Name:
        parts = [self.label()]
        while self.accept("."):
            parts.append(self.label())
        return tuple(parts)


def _overlaps(left: ast.Expression, right: ast.Expression, token: Token) -> ast.Expression:
    args: list[ast.Expression] = []
    for side in (left, right):
        if not isinstance(side, ast.RowExpression) or len(side.items) != 2:
            raise SqlError(
                SYNTAX_ERROR,
                "wrong number of parameters on side of OVERLAPS expression",
                position=token.start + 1,
            )
        args.extend(side.items)
    return ast.FunctionCall(("pg_catalog", "overlaps"), tuple(args), token.start)
