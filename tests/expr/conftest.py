"""The reference of this suite: one session of a real PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.expr.postgres_reference import PostgresReference, reference_session


@pytest.fixture(scope="module")
def reference(postgres_url: str) -> Iterator[PostgresReference]:
    """A session of the reference database."""
    with reference_session(postgres_url) as session:
        yield session
