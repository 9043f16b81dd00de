"""LIKE, SIMILAR TO and the regular-expression operators and functions."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from core.rows import Array, Datum
from core.sql_types import TEXT, Column
from expr.array_values import one_dimensional
from expr.functions.strings import check_length
from expr.like_patterns import ilike_matcher, like_escape, like_matcher
from expr.registry import FunctionKind, define, type_named
from expr.regular_expressions import (
    Flags,
    Regex,
    compile_regex,
    parse_flags,
    similar_to_regex,
)

OPERATOR: Final = FunctionKind.OPERATOR
IGNORE_CASE: Final = Flags(ignores_case=True)


def _define_operators() -> None:
    for name in ("text", "name", "bpchar"):
        pair = f"({name},text)"
        define(f"~~{pair}", "bool", lambda v, p: like_matcher(p)(v), kind=OPERATOR)
        define(f"!~~{pair}", "bool", lambda v, p: not like_matcher(p)(v), kind=OPERATOR)
        define(f"~~*{pair}", "bool", lambda v, p: ilike_matcher(p)(v), kind=OPERATOR)
        define(f"!~~*{pair}", "bool", lambda v, p: not ilike_matcher(p)(v), kind=OPERATOR)
        define(f"~{pair}", "bool", lambda v, p: compile_regex(p).matches(v), kind=OPERATOR)
        define(f"!~{pair}", "bool", lambda v, p: not compile_regex(p).matches(v), kind=OPERATOR)
        define(
            *(f"~*{pair}", "bool", lambda v, p: compile_regex(p, IGNORE_CASE).matches(v)),
            kind=OPERATOR,
        )
        define(
            *(f"!~*{pair}", "bool", lambda v, p: not compile_regex(p, IGNORE_CASE).matches(v)),
            kind=OPERATOR,
        )
    define("like(text,text)", "bool", lambda v, p: like_matcher(p)(v))
    define("notlike(text,text)", "bool", lambda v, p: not like_matcher(p)(v))
    define("like_escape(text,text)", "text", like_escape)
    define("similar_to_escape(text)", "text", similar_to_regex)
    define("similar_to_escape(text,text)", "text", similar_to_regex)
    define(
        *("substring(text,text,text)", "text"),
        lambda v, p, e: _substring_regex(v, similar_to_regex(p, e)),
    )
    define("^@(text,text)", "bool", str.startswith, kind=OPERATOR)
    define("starts_with(text,text)", "bool", str.startswith)


def _expand(template: str, match: Any, groups: int) -> str:
    """The replacement text: `\\1`…`\\9` groups, `\\&` the match, `\\\\` a backslash."""
    if "\\" not in template:
        return template
    result: list[str] = []
    position = 0
    while position < len(template):
        character = template[position]
        following = template[position + 1 : position + 2]
        if character != "\\" or not following:
            result.append(character)
            position += 1
            continue
        position += 2
        if following == "&":
            result.append(match.group(0))
        elif following in "123456789":
            if int(following) <= groups:
                result.append(match.group(int(following)) or "")
        elif following == "\\":
            result.append("\\")
        else:
            result.append("\\" + following)
    return "".join(result)


def _check_start(start: int) -> None:
    if start < 1:
        raise SqlError(INVALID_PARAMETER_VALUE, f'invalid value for parameter "start": {start}')


def _replace(
    text: str, pattern: str, template: str, start: int, occurrence: int, flags: Flags
) -> str:
    regex = compile_regex(pattern, flags._replace(is_global=False))
    pieces: list[str] = []
    end = length = 0
    if start - 1 > len(text):
        return text
    for count, match in enumerate(regex.each_match(text, start - 1), 1):
        if occurrence and count < occurrence:
            continue
        pieces.append(text[end : match.start()])
        pieces.append(_expand(template, match, regex.groups))
        length += len(pieces[-2]) + len(pieces[-1])
        check_length(length)
        end = match.end()
        if occurrence:
            break
    pieces.append(text[end:])
    return "".join(pieces)


def _regexp_replace(text: str, pattern: str, template: str, flags_text: str = "") -> str:
    if flags_text[:1].isdigit():
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f'invalid regular expression option: "{flags_text[0]}"',
            hint="If you meant to use regexp_replace() with a start parameter, cast the fourth"
            " argument to integer explicitly.",
        )
    flags = parse_flags(flags_text, allow_global=True)
    return _replace(text, pattern, template, 1, 0 if flags.is_global else 1, flags)


def _regexp_replace_from(
    text: str,
    pattern: str,
    template: str,
    start: int,
    occurrence: int | None = None,
    flags_text: str = "",
) -> str:
    _check_start(start)
    if occurrence is not None and occurrence < 0:
        raise SqlError(INVALID_PARAMETER_VALUE, f'invalid value for parameter "n": {occurrence}')
    flags = parse_flags(flags_text, allow_global=True)
    if occurrence is None:
        occurrence = 0 if flags.is_global else 1
    return _replace(text, pattern, template, start, occurrence, flags)


def _groups_of(match: Any, regex: Regex) -> Array[Datum]:
    if regex.groups == 0:
        return one_dimensional([match.group(0)])
    return one_dimensional([match.group(index) for index in range(1, regex.groups + 1)])


def _no_global(function: str, flags: str) -> None:
    if "g" in flags:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f'{function}() does not support the "global" option',
            hint="Use the regexp_matches function instead." if function == "regexp_match" else None,
        )


def _regexp_match(text: str, pattern: str, flags: str = "") -> Array[Datum] | None:
    _no_global("regexp_match", flags)
    regex = compile_regex(pattern, parse_flags(flags))
    match = regex.compiled.search(text)
    return None if match is None else _groups_of(match, regex)


def _regexp_matches(text: str, pattern: str, flags_text: str = "") -> list[tuple[Datum]]:
    flags = parse_flags(flags_text, allow_global=True)
    regex = compile_regex(pattern, flags._replace(is_global=False))
    if not flags.is_global:
        match = regex.compiled.search(text)
        return [] if match is None else [(_groups_of(match, regex),)]
    return [(_groups_of(match, regex),) for match in regex.each_match(text)]


def _split(text: str, pattern: str, flags: str, function: str) -> list[str]:
    """The pieces between matches; empty matches at the ends and after a match do not split."""
    _no_global(function, flags)
    regex = compile_regex(pattern, parse_flags(flags))
    pieces: list[str] = []
    end = 0
    for match in regex.each_match(text):
        start, stop = match.start(), match.end()
        if start == stop and (start == end or start >= len(text)):
            if start == 0 or start >= len(text) or start == end:
                continue
        pieces.append(text[end:start])
        end = stop
    pieces.append(text[end:])
    return pieces


def _regexp_count(text: str, pattern: str, start: int = 1, flags: str = "") -> int:
    _check_start(start)
    _no_global("regexp_count", flags)
    regex = compile_regex(pattern, parse_flags(flags))
    if start - 1 > len(text):
        return 0
    return sum(1 for _ in regex.each_match(text, start - 1))


def _occurrence(regex: Regex, text: str, start: int, occurrence: int) -> Any | None:
    """The match of that number from `start` on. Of a pattern without groups, the first group is
    the whole match."""
    if start - 1 > len(text):
        return None
    return next(islice(regex.each_match(text, start - 1), occurrence - 1, None), None)


def _regexp_substr(
    text: str,
    pattern: str,
    start: int = 1,
    occurrence: int = 1,
    flags: str = "",
    group: int = 0,
) -> str | None:
    _check_start(start)
    if occurrence < 1:
        raise SqlError(INVALID_PARAMETER_VALUE, f'invalid value for parameter "n": {occurrence}')
    if group < 0:
        raise SqlError(INVALID_PARAMETER_VALUE, f'invalid value for parameter "subexpr": {group}')
    _no_global("regexp_substr", flags)
    regex = compile_regex(pattern, parse_flags(flags))
    match = _occurrence(regex, text, start, occurrence)
    if match is None or group > max(regex.groups, 1):
        return None
    found: str | None = match.group(min(group, regex.groups))
    return found


def _regexp_instr(
    text: str,
    pattern: str,
    start: int = 1,
    occurrence: int = 1,
    end_option: int = 0,
    flags: str = "",
    group: int = 0,
) -> int:
    _check_start(start)
    if occurrence < 1:
        raise SqlError(INVALID_PARAMETER_VALUE, f'invalid value for parameter "n": {occurrence}')
    if end_option not in (0, 1):
        raise SqlError(
            INVALID_PARAMETER_VALUE, f'invalid value for parameter "endoption": {end_option}'
        )
    if group < 0:
        raise SqlError(INVALID_PARAMETER_VALUE, f'invalid value for parameter "subexpr": {group}')
    _no_global("regexp_instr", flags)
    regex = compile_regex(pattern, parse_flags(flags))
    match = _occurrence(regex, text, start, occurrence)
    if match is None or group > max(regex.groups, 1):
        return 0
    span = match.span(min(group, regex.groups))
    return 0 if span[0] < 0 else int(span[end_option]) + 1


def _substring_regex(text: str, pattern: str) -> str | None:
    regex = compile_regex(pattern)
    match = regex.compiled.search(text)
    if match is None:
        return None
    found: str | None = match.group(1 if regex.groups else 0)
    return found


def _define_functions() -> None:
    define("regexp_replace(text,text,text)", "text", _regexp_replace)
    define("regexp_replace(text,text,text,text)", "text", _regexp_replace)
    define("regexp_replace(text,text,text,int4)", "text", _regexp_replace_from)
    define("regexp_replace(text,text,text,int4,int4)", "text", _regexp_replace_from)
    define("regexp_replace(text,text,text,int4,int4,text)", "text", _regexp_replace_from)
    define("regexp_match(text,text)", "text[]", _regexp_match)
    define("regexp_match(text,text,text)", "text[]", _regexp_match)
    define("regexp_like(text,text)", "bool", lambda v, p: compile_regex(p).matches(v))
    define("regexp_like(text,text,text)", "bool", _regexp_like)
    define("substring(text,text)", "text", _substring_regex)
    for arguments in ("text,text", "text,text,text"):
        define(
            f"regexp_split_to_array({arguments})",
            "text[]",
            lambda v, p, f="": one_dimensional(_split(v, p, f, "regexp_split_to_array")),
        )
        define(
            f"regexp_split_to_table({arguments})",
            "text",
            lambda v, p, f="": ((s,) for s in _split(v, p, f, "regexp_split_to_table")),
            kind=FunctionKind.TABLE,
            columns=(Column("regexp_split_to_table", TEXT),),
        )
        define(
            f"regexp_matches({arguments})",
            "text[]",
            _regexp_matches,
            kind=FunctionKind.TABLE,
            columns=(Column("regexp_matches", type_named("text[]")),),
        )
    _define_with_optional("regexp_substr", "text", ("int4", "int4", "text", "int4"), _regexp_substr)
    _define_with_optional("regexp_count", "int4", ("int4", "text"), _regexp_count)
    _define_with_optional(
        "regexp_instr", "int4", ("int4", "int4", "int4", "text", "int4"), _regexp_instr
    )


def _define_with_optional(
    name: str, returns: str, optional: Sequence[str], function: Callable[..., Datum]
) -> None:
    """A function of a text, a pattern, and any number of the optional arguments, from the left."""
    for count in range(len(optional) + 1):
        arguments = ",".join(("text", "text", *optional[:count]))
        define(f"{name}({arguments})", returns, function)


def _regexp_like(text: str, pattern: str, flags: str) -> bool:
    _no_global("regexp_like", flags)
    return compile_regex(pattern, parse_flags(flags)).matches(text)


_define_operators()
_define_functions()
