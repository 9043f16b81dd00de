"""How a comparison draws its examples."""

from hypothesis import HealthCheck, Phase, settings


def drawing(examples: int, *, fresh: bool) -> settings:
    """Settings for so many examples: the same each time, or `fresh` ones."""
    return settings(
        max_examples=examples,
        derandomize=not fresh,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
