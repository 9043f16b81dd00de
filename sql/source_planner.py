"""CREATE SOURCE: load generators with their subsources, and webhooks."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_PARAMETER_VALUE,
    SYNTAX_ERROR,
    UNDEFINED_OBJECT,
    SqlError,
)
from core.load_generators import (
    OUTPUTS,
    PROGRESS,
    PROGRESS_DESC,
    LoadGenerator,
    LoadGeneratorKind,
)
from core.rows import Interval
from core.sql_types import BYTEA, INTERVAL, JSONB, TEXT, Column, RelationDesc
from expr.scalar import EvaluationContext
from expr.text_format import text_input
from sql import syntax as ast
from sql.catalog_view import QualifiedName
from sql.identifiers import quote_identifier, quote_name, quote_string
from sql.lexer import tokenize
from sql.maintained_options import check_names, text_of
from sql.maintained_planner import cluster_for
from sql.maintained_syntax import Option
from sql.new_items import new_item_name, no_parameters, plain
from sql.parse import ParsedStatement
from sql.plan import CreateSourcePlan, PlannedStatement, Subsource
from sql.source_syntax import CreateSource, CreateWebhook
from sql.statement_context import StatementContext
from sql.statement_parser import StatementParser

TICK_INTERVAL: Final = "tick interval"
SCALE_FACTOR: Final = "scale factor"
MAX_CARDINALITY: Final = "max cardinality"
MAX_SCALE_FACTOR: Final = 100.0
_DAY_US: Final = 86_400_000_000
_OPTIONS: Final[Mapping[LoadGeneratorKind, frozenset[str]]] = {
    LoadGeneratorKind.COUNTER: frozenset({TICK_INTERVAL, MAX_CARDINALITY}),
    LoadGeneratorKind.AUCTION: frozenset({TICK_INTERVAL}),
    LoadGeneratorKind.TPCH: frozenset({TICK_INTERVAL, SCALE_FACTOR}),
}
_BODY_TYPES: Final = {"TEXT": TEXT, "JSON": JSONB, "BYTES": BYTEA}


def plan_create_source(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """CREATE SOURCE … FROM LOAD GENERATOR."""
    assert isinstance(statement, CreateSource)
    no_parameters(parsed)
    name = new_item_name(statement.name, False, statement.pos, context)
    cluster = cluster_for(statement.cluster, context)
    generator = load_generator(statement, context.session.context)
    outputs = OUTPUTS[generator.kind]
    own = next(iter(outputs)) if len(outputs) == 1 else None
    tables = _tables(statement, generator.kind, outputs)
    made = [] if own is not None else [(output, outputs[output], item) for output, item in tables]
    progress = statement.progress or f"{name.item}_progress"
    made.append((PROGRESS, PROGRESS_DESC, progress))
    return plain(
        CreateSourcePlan(
            name,
            RelationDesc(()) if own is None else outputs[own],
            _source_sql(name, cluster, statement, tables if own is None else None),
            cluster,
            own,
            tuple(
                Subsource(item, output, desc, _subsource_sql(name, item, output))
                for output, desc, item in made
            ),
            statement.if_not_exists,
        )
    )


def plan_create_webhook(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """CREATE SOURCE … FROM WEBHOOK: rows that come over HTTP, by the way that INSERT takes."""
    assert isinstance(statement, CreateWebhook)
    no_parameters(parsed)
    if statement.refused is not None:
        raise SqlError(
            FEATURE_NOT_SUPPORTED, f"{statement.refused} is not supported for webhook sources"
        )
    name = new_item_name(statement.name, False, statement.pos, context)
    columns = [Column("body", _BODY_TYPES[statement.body_format], False)]
    headers = ""
    if statement.includes_headers:
        columns.append(Column("headers", JSONB, False))
        headers = " INCLUDE HEADERS"
    sql = (
        f"CREATE SOURCE {_quoted(name, name.item)} FROM WEBHOOK"
        f" BODY FORMAT {statement.body_format}{headers}"
    )
    desc = RelationDesc(tuple(columns))
    return plain(CreateSourcePlan(name, desc, sql, None, None, (), statement.if_not_exists))


def refuse_subsource(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """CREATE SUBSOURCE is how a definition is shown, not how one is made."""
    del statement, parsed, context
    raise SqlError(
        FEATURE_NOT_SUPPORTED,
        "CREATE SUBSOURCE statements are generated",
        hint="Use CREATE SOURCE … FROM LOAD GENERATOR … FOR ALL TABLES.",
    )


def load_generator(statement: CreateSource, context: EvaluationContext) -> LoadGenerator:
    """The generator that a statement describes. Raises SqlError."""
    try:
        kind = LoadGeneratorKind(statement.generator.lower())
    except ValueError:
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            f"LOAD GENERATOR {statement.generator.upper()} is not supported",
            hint="There are COUNTER, AUCTION and TPCH.",
        ) from None
    check_names(statement.options, _OPTIONS[kind])
    # The benchmark's orders stand still unless ticks are asked for.
    generator = LoadGenerator(kind)
    if kind is LoadGeneratorKind.TPCH:
        generator = replace(generator, tick_us=0)
    for option in statement.options:
        match option.name:
            case "tick interval":
                generator = replace(generator, tick_us=_tick_us(option, context))
            case "max cardinality":
                generator = replace(generator, max_cardinality=_cardinality(option))
            case "scale factor":
                generator = replace(generator, scale_factor=_scale_factor(option))
    return generator


def stored_load_generator(create_sql: str, context: EvaluationContext) -> LoadGenerator:
    """The generator of a stored definition."""
    statement = StatementParser(create_sql, tokenize(create_sql)).statement()
    assert isinstance(statement, CreateSource)
    return load_generator(statement, context)


def _tables(
    statement: CreateSource, kind: LoadGeneratorKind, outputs: Mapping[str, RelationDesc]
) -> tuple[tuple[str, str], ...]:
    """The outputs that become subsources, with their names."""
    word = kind.value.upper()
    if len(outputs) == 1:
        if statement.tables is not None:
            raise SqlError(
                SYNTAX_ERROR, f"FOR TABLES is not valid for LOAD GENERATOR {word}, which has one"
            )
        return ()
    if statement.tables is None:
        raise SqlError(
            SYNTAX_ERROR,
            "multi-output sources require a FOR TABLES (…) or FOR ALL TABLES clause",
        )
    for reference, _ in statement.tables:
        if reference not in outputs:
            raise SqlError(
                UNDEFINED_OBJECT, f'LOAD GENERATOR {word} has no table named "{reference}"'
            )
    return statement.tables or tuple((output, output) for output in outputs)


def _source_sql(
    name: QualifiedName,
    cluster: str,
    statement: CreateSource,
    tables: tuple[tuple[str, str], ...] | None,
) -> str:
    options = ", ".join(
        f"{option.name.upper()} {quote_string(text_of(option))}" for option in statement.options
    )
    text = (
        f"CREATE SOURCE {_quoted(name, name.item)} IN CLUSTER {quote_identifier(cluster)}"
        f" FROM LOAD GENERATOR {statement.generator.upper()}{f' ({options})' if options else ''}"
    )
    if tables is None:
        return text
    if not statement.tables:
        return f"{text} FOR ALL TABLES"
    named = ", ".join(f"{quote_identifier(a)} AS {quote_identifier(b)}" for a, b in tables)
    return f"{text} FOR TABLES ({named})"


def _subsource_sql(source: QualifiedName, item: str, output: str) -> str:
    return (
        f"CREATE SUBSOURCE {_quoted(source, item)} OF SOURCE {_quoted(source, source.item)}"
        f" REFERENCE {quote_identifier(output)}"
    )


def _quoted(name: QualifiedName, item: str) -> str:
    return quote_name(*(part for part in (name.database, name.schema, item) if part is not None))


def _tick_us(option: Option, context: EvaluationContext) -> int:
    value = text_input(INTERVAL, context)(text_of(option))
    assert isinstance(value, Interval)
    length = value.days * _DAY_US + value.microseconds
    if value.months or length < 1_000:
        raise _invalid(option)
    return length


def _cardinality(option: Option) -> int:
    text = text_of(option)
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _invalid(option)
    return int(text)


def _scale_factor(option: Option) -> float:
    try:
        value = float(text_of(option).replace(" ", ""))
    except ValueError:
        raise _invalid(option) from None
    if not 0 < value <= MAX_SCALE_FACTOR:
        raise _invalid(option)
    return value


def _invalid(option: Option) -> SqlError:
    return SqlError(
        INVALID_PARAMETER_VALUE,
        f'invalid value for {option.name.upper()}: "{option.value}"',
        position=option.pos + 1,
    )
