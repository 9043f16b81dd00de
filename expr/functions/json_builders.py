"""Functions that make json and jsonb values of SQL values."""

from collections.abc import Callable

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from core.rows import Array, Datum
from expr.json_conversion import object_key, to_json_text, to_json_value, to_jsonb
from expr.json_values import dump_jsonb, quote_json
from expr.registry import CallSite, define


def _build_array_jsonb(site: CallSite) -> Callable[..., str]:
    converters = [to_json_value(arg, site.context) for arg in site.args]
    return lambda *values: dump_jsonb(
        [convert(value) for convert, value in zip(converters, values, strict=True)]
    )


def _build_array_json(site: CallSite) -> Callable[..., str]:
    converters = [to_json_text(arg, site.context) for arg in site.args]
    return lambda *values: "[{}]".format(
        ", ".join(convert(value) for convert, value in zip(converters, values, strict=True))
    )


def _check_pairs(count: int) -> None:
    if count % 2:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            "argument list must have even number of elements",
            hint="The arguments of jsonb_build_object() must consist of alternating keys and"
            " values.",
        )


def _checked_keys(site: CallSite) -> list[Callable[[Datum], str]]:
    """The keys of jsonb_build_object, which names the argument that is null."""
    keys = [object_key(arg, site.context) for arg in site.args[::2]]

    def checked(key: Callable[[Datum], str], position: int) -> Callable[[Datum], str]:
        def apply(value: Datum) -> str:
            if value is None:
                raise SqlError(
                    INVALID_PARAMETER_VALUE, f"argument {position}: key must not be null"
                )
            return key(value)

        return apply

    return [checked(key, 2 * index + 1) for index, key in enumerate(keys)]


def _build_object_jsonb(site: CallSite) -> Callable[..., str]:
    _check_pairs(len(site.args))
    keys = _checked_keys(site)
    converters = [to_json_value(arg, site.context) for arg in site.args[1::2]]

    def build(*values: Datum) -> str:
        pairs = zip(keys, values[::2], converters, values[1::2], strict=True)
        return dump_jsonb({key(name): convert(value) for key, name, convert, value in pairs})

    return build


def _build_object_json(site: CallSite) -> Callable[..., str]:
    _check_pairs(len(site.args))
    keys = [object_key(arg, site.context) for arg in site.args[::2]]
    converters = [to_json_text(arg, site.context) for arg in site.args[1::2]]

    def build(*values: Datum) -> str:
        pairs = zip(keys, values[::2], converters, values[1::2], strict=True)
        members = (f"{quote_json(key(n))} : {convert(v)}" for key, n, convert, v in pairs)
        return f"{{{', '.join(members)}}}"

    return build


def _object_pairs(
    keys: Array[str | None], values: Array[str | None] | None
) -> list[tuple[str, str | None]]:
    """The pairs of json_object: alternating in one array, in an array of pairs, or in two."""
    if values is not None:
        if len(keys.dimensions) > 1 or len(values.dimensions) != len(keys.dimensions):
            raise SqlError("2202E", "wrong number of array subscripts")
        if len(keys.elements) != len(values.elements):
            raise SqlError("2202E", "mismatched array dimensions")
        names, items = keys.elements, values.elements
    else:
        if len(keys.dimensions) > 2:
            raise SqlError("2202E", "wrong number of array subscripts")
        if len(keys.dimensions) == 2 and keys.dimensions[1][0] != 2:
            raise SqlError("2202E", "array must have two columns")
        if len(keys.elements) % 2:
            raise SqlError("2202E", "array must have even number of elements")
        names, items = keys.elements[::2], keys.elements[1::2]
    pairs: list[tuple[str, str | None]] = []
    for name, item in zip(names, items, strict=True):
        if name is None:
            raise SqlError("22004", "null value not allowed for object key")
        pairs.append((name, item))
    return pairs


def _object_jsonb(keys: Array[str | None], values: Array[str | None] | None = None) -> str:
    return dump_jsonb(dict(_object_pairs(keys, values)))


def _object_json(keys: Array[str | None], values: Array[str | None] | None = None) -> str:
    members = (
        f"{quote_json(name)} : {'null' if item is None else quote_json(item)}"
        for name, item in _object_pairs(keys, values)
    )
    return f"{{{', '.join(members)}}}"


def _scalar_json(site: CallSite) -> Callable[[Datum], str]:
    return to_json_text(site.args[0], site.context)


def _scalar_jsonb(site: CallSite) -> Callable[[Datum], str]:
    return to_jsonb(site.args[0], site.context)


def _define_all() -> None:
    define("to_jsonb(anyelement)", "jsonb", _scalar_jsonb, needs_types=True)
    for name in ("to_json", "array_to_json", "row_to_json"):
        argument = {"array_to_json": "anyarray", "row_to_json": "record"}.get(name, "anyelement")
        define(f"{name}({argument})", "json", _scalar_json, needs_types=True)
    for name, array, pairs, result in (
        ("jsonb", _build_array_jsonb, _build_object_jsonb, "jsonb"),
        ("json", _build_array_json, _build_object_json, "json"),
    ):
        for suffix in ("", "variadic any"):
            define(
                *(f"{name}_build_array({suffix})", result, array), strict=False, needs_types=True
            )
            define(
                *(f"{name}_build_object({suffix})", result, pairs), strict=False, needs_types=True
            )
    for arguments in ("text[]", "text[],text[]"):
        define(f"jsonb_object({arguments})", "jsonb", _object_jsonb)
        define(f"json_object({arguments})", "json", _object_json)


_define_all()
