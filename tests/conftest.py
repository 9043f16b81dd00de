"""Fixtures shared by all suites: a real PostgreSQL, a fresh database in it, a running Headwater."""

import asyncio
import itertools
import os
import threading
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest

from headwater.embedded_postgres import EmbeddedPostgres
from tests.running_server import HeadwaterServer

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
def fresh_database_url(embedded_postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of an empty database of a real PostgreSQL, dropped after the test."""
    name = f"test_{os.getpid()}_{next(_DATABASE_NUMBERS)}"
    with psycopg.connect(embedded_postgres.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield embedded_postgres.address.url(name)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


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
