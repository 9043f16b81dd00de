"""Fixtures shared by all suites: a real PostgreSQL, a fresh database in it, a running Headwater."""

import asyncio
import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import hypothesis
import psycopg
import pytest

from headwater.embedded_postgres import EmbeddedPostgres
from tests.debian_postgres import debian_postgres
from tests.running_server import HeadwaterServer

# Whether a change lands does not depend on chance: there, each test always draws the same examples.
hypothesis.settings.register_profile("same-examples", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("same-examples")

START_TIMEOUT_S: Final = 60.0
_DATABASE_NUMBERS: Final = itertools.count(1)


@pytest.fixture(scope="session")
def embedded_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """An embedded PostgreSQL supervised by an event loop of its own, for the whole session."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="embedded-postgres", daemon=True)
    thread.start()
    directory = tmp_path_factory.mktemp("embedded-postgres")
    try:
        start = asyncio.run_coroutine_threadsafe(EmbeddedPostgres.start(directory), loop)
        postgres = start.result(START_TIMEOUT_S)
        try:
            yield postgres
        finally:
            asyncio.run_coroutine_threadsafe(postgres.stop(), loop).result(START_TIMEOUT_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def postgres_url(embedded_postgres: EmbeddedPostgres) -> str:
    """The URL of the database `postgres` of a real PostgreSQL; do not leave anything in it."""
    return embedded_postgres.url


@pytest.fixture
def fresh_database_url(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database of a real PostgreSQL, dropped after the test."""
    with _fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database of a real PostgreSQL, shared by the tests of a module."""
    with _fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def debian_postgres_url() -> Iterator[str]:
    """Like `postgres_url`, of Debian's PostgreSQL, which is some versions older than ours."""
    with debian_postgres() as url:
        yield url


@pytest.fixture
def fresh_debian_database_url(debian_postgres_url: str) -> Iterator[str]:
    """Like `fresh_database_url`, of Debian's PostgreSQL."""
    with _fresh_database(debian_postgres_url) as url:
        yield url


@contextmanager
def _fresh_database(url: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_DATABASE_NUMBERS)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())
        try:
            yield urlsplit(url)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="module")
def headwater_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadwaterServer]:
    """A running server on a data directory of its own, shared by the tests of a module."""
    server = HeadwaterServer(tmp_path_factory.mktemp("headwater"))
    server.start()
    try:
        yield server
    finally:
        if server.is_running:
            server.stop()
