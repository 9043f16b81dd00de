"""Rewrites the names in a normalised definition after a rename.

Definitions name every relation in full, so the references to change are found by name alone. A
reference without an alias gets the old name as its alias: whatever else in the text qualifies
columns by it keeps its meaning, and so do the names of output columns.
"""

import re
from collections.abc import Mapping
from typing import Final

from sql.keywords import COLUMN_NAMES, NOT_COLUMN
from sql.lexer import Token, tokenize
from sql.maintained_syntax import CreateIndex
from sql.parse import parse_statements
from sql.source_syntax import CreateSubsource
from sql.syntax import ColumnName, Star, SyntaxNode, TableReference
from sql.syntax_walk import nodes_of

Parts = tuple[str, ...]

_PLAIN_NAME: Final = re.compile(r"[a-z_][a-z0-9_$]*")


def rewrite_names(create_sql: str, renames: Mapping[Parts, Parts]) -> str:
    """`create_sql` with each relation name that is a key of `renames` replaced, the name of the
    thing that is created included."""
    tokens = tokenize(create_sql)
    starts = {token.start: index for index, token in enumerate(tokens)}
    edits: list[tuple[int, int, str]] = []
    own = _own_name(tokens)
    if own is not None:
        parts, end = _name_at(tokens, own)
        if parts in renames:
            edits.append((tokens[own].start, end, quote_name(renames[parts])))
    for statement in parse_statements(create_sql):
        for node in nodes_of(statement.statement):
            edit = _edit(node, tokens, starts, renames)
            if edit is not None:
                edits.append(edit)
    text = create_sql
    for start, end, replacement in sorted(set(edits), reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def quote_name(parts: Parts) -> str:
    """A dotted name, quoted where it must be."""
    return ".".join(map(_quote, parts))


def _quote(name: str) -> str:
    is_plain = _PLAIN_NAME.fullmatch(name) and name not in NOT_COLUMN and name not in COLUMN_NAMES
    return name if is_plain else '"' + name.replace('"', '""') + '"'


def _edit(
    node: SyntaxNode,
    tokens: list[Token],
    starts: Mapping[int, int],
    renames: Mapping[Parts, Parts],
) -> tuple[int, int, str] | None:
    match node:
        case TableReference(name=name, alias=alias, pos=pos) if name in renames:
            _, end = _name_at(tokens, starts[pos])
            new = quote_name(renames[name])
            is_table_command = tokens[starts[pos] - 1].value == "table"  # TABLE t takes no alias
            keep = alias is None and renames[name][-1] != name[-1] and not is_table_command
            return pos, end, f"{new} AS {_quote(name[-1])}" if keep else new
        case CreateIndex(relation=name, relation_pos=pos) if name in renames:
            _, end = _name_at(tokens, starts[pos])
            return pos, end, quote_name(renames[name])
        case CreateSubsource(source=name, source_pos=pos) if name in renames:
            _, end = _name_at(tokens, starts[pos])
            return pos, end, quote_name(renames[name])
        case ColumnName(parts=(*qualifier, _), pos=pos) | Star(qualifier=qualifier, pos=pos):
            qualified = tuple(qualifier)
            if len(qualified) > 1 and any(old[-len(qualified) :] == qualified for old in renames):
                _, end = _name_at(tokens, starts[pos], len(qualified))
                return pos, end, _quote(qualified[-1])
    return None


def _own_name(tokens: list[Token]) -> int | None:
    """Where the name of what is created starts: after the kind [IF NOT EXISTS]."""
    for index, token in enumerate(tokens):
        if token.kind == "w" and token.value in ("table", "view", "index", "source", "subsource"):
            following = [t.value for t in tokens[index + 1 : index + 4]]
            return index + 4 if following == ["if", "not", "exists"] else index + 1
        if token.kind == "w" and token.value == "as":
            break
    return None


def _name_at(tokens: list[Token], index: int, limit: int | None = None) -> tuple[Parts, int]:
    """The dotted name that starts at token `index` (its first `limit` parts), and its end."""
    parts = [tokens[index].value]
    end = tokens[index].end
    while (limit is None or len(parts) < limit) and tokens[index + 1].value == ".":
        if tokens[index + 2].kind not in ("w", "q"):
            break
        index += 2
        parts.append(tokens[index].value)
        end = tokens[index].end
    return tuple(parts), end
