"""What all sessions of the process share: dependencies, the planner, limits and parameters."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from immutables import Map

from coordinator.client import CoordinatorClient
from core.clock import Clock
from frontend.planning import Planner
from frontend.settings import default_values
from sql.variable_values import VariableValue
from sql.variables import find_variable, system_value


@dataclass(frozen=True, slots=True)
class FrontendDependencies:
    """What sessions need of the rest of the server; shared by every port.

    `clock` gives the wall clock in microseconds since the Unix epoch.
    """

    coordinator: CoordinatorClient
    environment_id: str
    version: str  # Headwater's own, as in `0.1.0`
    clock: Clock
    planner: Planner = field(default_factory=Planner)
    # Writes that keep losing against concurrent ones take turns here.
    losers: asyncio.Lock = field(default_factory=asyncio.Lock)


_NO_PARAMETERS: Final[Map[str, str]] = Map()


class FrontendServices:
    """One per port; the planner and its caches are the process's."""

    def __init__(self, dependencies: FrontendDependencies) -> None:
        self.coordinator = dependencies.coordinator
        self.environment_id = dependencies.environment_id
        self.version = dependencies.version
        self.clock = dependencies.clock
        self.started_at = dependencies.clock()
        self.planner = dependencies.planner
        self.losers = dependencies.losers
        self._parameters = _NO_PARAMETERS
        self._values: dict[str, VariableValue] = {}
        self._defaults: tuple[Map[str, str], dict[str, VariableValue]] | None = None

    def parameter(self, name: str, overrides: Map[str, str]) -> VariableValue:
        """A system parameter under a catalog's ALTER SYSTEM settings; remembered until they
        change."""
        if overrides is not self._parameters:
            self._parameters = overrides
            self._values.clear()
        value = self._values.get(name)
        if value is None:
            value = self._values[name] = system_value(name, overrides)
        return value

    def show_parameter(self, name: str, overrides: Map[str, str]) -> str:
        """A system parameter as SHOW shows it. Raises 42704."""
        variable = find_variable(name)
        return variable.format(self.parameter(variable.name, overrides))

    def default_settings(self, overrides: Map[str, str]) -> dict[str, VariableValue]:
        """What a session starts with."""
        if self._defaults is None or self._defaults[0] is not overrides:
            self._defaults = (overrides, default_values(overrides))
        return self._defaults[1]

    def parameter_int(self, name: str, overrides: Map[str, str]) -> int:
        """A system parameter that counts something."""
        return int(self.parameter(name, overrides))
