"""Whole answers to statements: tag, rows, notices, and the fields of errors."""

from collections.abc import Callable

import psycopg

Answer = tuple[object, ...]


def session_of(dsn: str) -> tuple[psycopg.Connection, Callable[[str], Answer]]:
    """A connection, and what runs a statement on it and gives the whole answer."""
    connection = psycopg.connect(dsn, autocommit=True)
    notices: list[Answer] = []
    connection.add_notice_handler(lambda diagnostics: notices.append(_fields(diagnostics)))

    def run(statement: str) -> Answer:
        notices.clear()
        try:
            cursor = connection.execute(statement.encode())
        except psycopg.Error as error:
            return (_fields(error.diag), *notices)
        rows = cursor.fetchall() if cursor.description else None
        return (cursor.statusmessage, rows, *notices)

    return connection, run


def _fields(diagnostics: psycopg.errors.Diagnostic) -> Answer:
    return (
        diagnostics.severity,
        diagnostics.sqlstate,
        diagnostics.message_primary,
        diagnostics.message_detail,
        diagnostics.message_hint,
        diagnostics.statement_position,
    )
