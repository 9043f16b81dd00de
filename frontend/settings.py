"""The variables of one session: SET, SET LOCAL, RESET, and what a transaction's end makes of them.

A rolled-back transaction takes its SETs with it; SET LOCAL ends with its transaction either way.
Nothing here sends anything: `take_reports` gives what ParameterStatus owes the client.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core import errors
from core.errors import SqlError
from expr.scalar import EvaluationContext
from sql.variable_values import VariableValue
from sql.variables import (
    REPORTED_VARIABLES,
    SESSION_VARIABLES,
    SYSTEM_PARAMETERS,
    Variable,
    cannot_change,
    session_variable,
)

ALIASES = {
    "time zone": "timezone",
    "schema": "search_path",
    "names": "client_encoding",
    "session characteristics": "default_transaction_isolation",
}


@dataclass(frozen=True, slots=True)
class SettingsSnapshot:
    """The state that ROLLBACK TO a savepoint restores."""

    values: dict[str, VariableValue]
    after_commit: dict[str, VariableValue]


class SessionSettings:
    """Values by lower-case name."""

    __slots__ = (
        "_after_commit",
        "_before",
        "_defaults",
        "_facts",
        "_reported",
        "_reported_generation",
        "generation",
        "values",
    )

    def __init__(self, defaults: Mapping[str, VariableValue]) -> None:
        self.values = dict(defaults)
        self.generation = 0  # moves with every change
        self._defaults = dict(defaults)
        self._facts: dict[str, VariableValue] = {}
        self._before: dict[str, VariableValue] | None = None
        self._after_commit: dict[str, VariableValue] = {}
        self._reported: dict[str, VariableValue] = {}
        self._reported_generation = -1

    def text(self, variable: Variable) -> str:
        """The value as SHOW shows it."""
        key = variable.name.lower()
        return variable.format(self._facts[key] if key in self._facts else self.values[key])

    def set_initial(self, name: str, text: str) -> None:
        """A startup option: also what RESET goes back to. Raises SqlError."""
        variable = _settable(name)
        value = variable.parse(text)
        self.values[variable.name.lower()] = self._defaults[variable.name.lower()] = value
        self.generation += 1

    def set_fixed(self, name: str, value: VariableValue) -> None:
        """The value of a variable that no client may set."""
        self.values[name] = self._defaults[name] = value
        self.generation += 1

    def record(self, name: str, value: VariableValue) -> None:
        """What the server tells by a variable that no client may set: nothing that is planned
        depends on it, and no rollback undoes it."""
        self._facts[name] = value

    def set(self, name: str, text: str | None, *, is_local: bool = False) -> Variable:
        """SET, or with `text` None RESET and SET … TO DEFAULT. Raises 42704, 22023, 55P02."""
        variable = _settable(name)
        value = self._defaults[variable.name.lower()] if text is None else variable.parse(text)
        self._assign(variable.name.lower(), value, is_local)
        return variable

    def reset_all(self) -> None:
        """RESET ALL."""
        for name, value in self._defaults.items():
            variable = SESSION_VARIABLES[name]
            if not variable.is_fixed and self.values[name] != value:
                self._assign(name, value, False)

    # Transactions --------------------------------------------------------------------------------

    def begin(self) -> None:
        """A transaction starts."""
        self._before = None

    def commit(self) -> None:
        """A transaction ends well: LOCAL values go."""
        if self._after_commit:
            self.values.update(self._after_commit)
            self._after_commit.clear()
            self.generation += 1
        self._before = None

    def rollback(self) -> None:
        """A transaction is undone."""
        if self._before is not None:
            self.values = self._before
            self.generation += 1
        self._before = None
        self._after_commit.clear()

    def snapshot(self) -> SettingsSnapshot:
        return SettingsSnapshot(dict(self.values), dict(self._after_commit))

    def restore(self, snapshot: SettingsSnapshot) -> None:
        self.values = dict(snapshot.values)
        self._after_commit = dict(snapshot.after_commit)
        self.generation += 1

    # What others need ----------------------------------------------------------------------------

    def context(self) -> EvaluationContext:
        """What scalar functions and output formats depend on."""
        values = self.values
        return EvaluationContext(
            time_zone=str(values["timezone"]),
            date_style=str(values["datestyle"]),
            interval_style=str(values["intervalstyle"]),
            extra_float_digits=int(values["extra_float_digits"]),
            bytea_output=str(values["bytea_output"]),
        )

    @property
    def has_changed(self) -> bool:
        """Whether `take_reports` may have something."""
        return self._reported_generation != self.generation

    def take_reports(self) -> list[tuple[str, str]]:
        """(name, value) of each reported variable whose value the client has not heard of."""
        reports = []
        self._reported_generation = self.generation
        for variable in REPORTED_VARIABLES:
            key = variable.name.lower()
            value = self.values[key]
            if key not in self._reported or self._reported[key] != value:
                self._reported[key] = value
                reports.append((variable.name, variable.format(value)))
        return reports

    def _assign(self, key: str, value: VariableValue, is_local: bool) -> None:
        if self._before is None:
            self._before = dict(self.values)
        if is_local:
            self._after_commit.setdefault(key, self.values[key])
        elif key in self._after_commit:
            self._after_commit[key] = value
        self.values[key] = value
        self.generation += 1


def find_session_variable(name: str) -> Variable:
    """The session variable of that name or alias. Raises 42704."""
    key = name.lower()
    variable = session_variable(ALIASES.get(key, key))
    if variable is None:
        raise SqlError(errors.UNDEFINED_OBJECT, f'unrecognized configuration parameter "{name}"')
    return variable


def _settable(name: str) -> Variable:
    system = SYSTEM_PARAMETERS.get(name.lower())
    if system is not None:
        raise SqlError(
            errors.CANT_CHANGE_RUNTIME_PARAM,
            f'parameter "{system.name}" cannot be changed now',
            hint=f"Use ALTER SYSTEM SET {system.name} as a superuser.",
        )
    variable = find_session_variable(name)
    if variable.is_fixed:
        raise cannot_change(variable)
    return variable


def default_values(overrides: Mapping[str, str]) -> dict[str, VariableValue]:
    """What a new session starts with, under ALTER SYSTEM's overrides."""
    values: dict[str, VariableValue] = {}
    for key, variable in SESSION_VARIABLES.items():
        text = overrides.get(variable.name, variable.default)
        values[key] = variable.parse(text)
    return values


def parse_options(text: str) -> list[tuple[str, str]]:
    """The (name, value) pairs of a startup packet's `options`: `-c name=value --name=value`.

    A backslash takes the next character as it is. Raises 42601.
    """
    words = _split_options(text)
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "-c" and position < len(words):
            setting = words[position]
            position += 1
        elif word.startswith(("-c", "--")):
            setting = word[2:]
        else:
            raise SqlError(
                errors.SYNTAX_ERROR, f"invalid command-line argument for server process: {word}"
            )
        name, separator, value = setting.partition("=")
        if not separator:
            raise SqlError(errors.SYNTAX_ERROR, f"-c {setting} requires a value")
        pairs.append((name.strip().replace("-", "_"), value))
    return pairs


def _split_options(text: str) -> list[str]:
    words: list[str] = []
    current: list[str] | None = None
    characters = iter(text)
    for character in characters:
        if character == "\\":
            current = current or []
            current.append(next(characters, ""))
        elif character.isspace():
            if current is not None:
                words.append("".join(current))
                current = None
        else:
            current = current or []
            current.append(character)
    if current is not None:
        words.append("".join(current))
    return words
