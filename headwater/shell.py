"""`headwater sql`: a small SQL shell, for machines without psql.

Statements end with a semicolon and go to the server as they are, by the simple protocol, so that
several in one go form one implicit transaction, as in psql. Values are shown in the server's own
text form. COPY works on standard input and output. Deliberately absent: backslash commands (use
SHOW and the system catalogs).
"""

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import psycopg
from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory
from prompt_toolkit.lexers import PygmentsLexer
from psycopg import pq
from pygments.lexers.sql import PostgresLexer

from headwater.settings import ListenAddress
from headwater.shell_tables import format_table
from headwater.statement_end import is_complete
from headwater.version import VERSION

CONNECT_TIMEOUT_S: Final = 10
HISTORY_FILE: Final = Path(".headwater_history")
COPY_CHUNK_CHARACTERS: Final = 65_536
_COPY: Final = re.compile(r"\s*copy\b", re.IGNORECASE)
_QUIT: Final = frozenset({"\\q", "exit", "quit", "exit;", "quit;"})
_HELP: Final = """\
Type SQL, end it with a semicolon. Some to start with:
  SHOW TABLES;   SHOW COLUMNS FROM t;   SHOW CREATE TABLE t;   SHOW ALL;   EXPLAIN SELECT ...;
Ctrl-C ends a running statement or clears the line; Ctrl-D, \\q or exit leaves."""


@dataclass(frozen=True, slots=True)
class ShellTarget:
    """Which server to talk to, and as whom."""

    address: ListenAddress
    user: str
    database: str


def run_shell(target: ShellTarget, commands: Sequence[str]) -> int:
    """Run the commands; without any, what standard input holds, with a prompt if it is a terminal.

    Returns the exit status: 0, 1 if a statement failed, 2 if there was no connection.
    """
    try:
        connection = _connect(target)
    except psycopg.OperationalError as error:
        click.echo(
            f"headwater sql: no connection to {target.address}: {str(error).strip()}\n"
            "Is the server running? Start it with `headwater` (or `make run`), or tell its "
            "address with --address.",
            err=True,
        )
        return 2
    with contextlib.closing(connection):  # psycopg's own `with` would commit
        connection.add_notice_handler(
            lambda notice: click.echo(f"{notice.severity}: {notice.message_primary}", err=True)
        )
        if commands:
            return 0 if all(_execute(connection, command) for command in commands) else 1
        if not sys.stdin.isatty():
            return 0 if _execute(connection, sys.stdin.read()) else 1
        return _converse(connection, target)


def _connect(target: ShellTarget) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(
        host=target.address.host,
        port=target.address.port,
        user=target.user,
        dbname=target.database,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="headwater sql",
    )


def _converse(connection: "psycopg.Connection[tuple[object, ...]]", target: ShellTarget) -> int:
    click.echo(f"headwater {VERSION} at {target.address}. Type help for help.")
    session = _prompt_session()
    while True:
        try:
            text = session.prompt(_prompt(connection, target)).strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return 0
        if text.lower() in _QUIT:
            return 0
        if text.lower().rstrip(";") in ("help", "\\?", "\\h"):
            click.echo(_HELP)
        elif text.startswith("\\"):
            click.echo("This shell has no backslash commands but \\q. Type help for help.")
        elif text:
            _execute(connection, text)
        if connection.closed:
            click.echo("The connection was lost.", err=True)
            return 2


def _prompt(connection: "psycopg.Connection[tuple[object, ...]]", target: ShellTarget) -> str:
    match connection.info.transaction_status:
        case pq.TransactionStatus.INTRANS:
            mark = "*"
        case pq.TransactionStatus.INERROR:
            mark = "!"
        case _:
            mark = ""
    return f"{target.database}={mark}> "


def _prompt_session() -> "PromptSession[str]":
    buffer_of: list[Buffer] = []

    @Condition
    def needs_more() -> bool:
        text = buffer_of[0].text.strip() if buffer_of else ""
        ends_line = text.startswith("\\") or text.lower() in (*_QUIT, "help", "")
        return not ends_line and not is_complete(text)

    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(Path.home() / HISTORY_FILE)),
        lexer=PygmentsLexer(PostgresLexer),
        multiline=needs_more,
        prompt_continuation=lambda width, line, soft: "-> ".rjust(width),
    )
    buffer_of.append(session.default_buffer)
    return session


def _execute(connection: "psycopg.Connection[tuple[object, ...]]", text: str) -> bool:
    """Run a text of one or more statements and print their results; False if one failed."""
    try:
        if _COPY.match(text):
            return _copy(connection, text)
        cursor = connection.execute(text.encode(), prepare=False)
        while True:
            _print_result(cursor.pgresult)
            if not cursor.nextset():
                return True
    except KeyboardInterrupt:
        click.echo("Cancelled.", err=True)
        return False
    except psycopg.Error as error:
        click.echo(_describe(error, text), err=True)
        if connection.info.transaction_status == pq.TransactionStatus.ACTIVE:
            connection.close()  # a COPY among other statements: there is no way back
        return False


def _copy(connection: "psycopg.Connection[tuple[object, ...]]", text: str) -> bool:
    """Run one COPY statement on standard input or output."""
    cursor = connection.cursor()
    with cursor.copy(text.encode()) as copy:
        result = cursor.pgresult
        if result is not None and result.status == pq.ExecStatus.COPY_IN:
            while chunk := sys.stdin.read(COPY_CHUNK_CHARACTERS):
                copy.write(chunk)
            is_input = True
        else:
            for data in copy:
                click.echo(bytes(data), nl=False)
            is_input = False
    if is_input:
        click.echo(f"COPY {cursor.rowcount}")
    return True


def _describe(error: psycopg.Error, text: str) -> str:
    """An error as psql shows it: message, the place in the text, detail and hint."""
    diagnosis = error.diag
    if diagnosis.message_primary is None:
        return f"ERROR: {str(error).strip()}"
    lines = [f"{diagnosis.severity}: {diagnosis.message_primary} ({diagnosis.sqlstate})"]
    if diagnosis.statement_position:
        lines += _pointer(text, int(diagnosis.statement_position))
    if diagnosis.message_detail:
        lines.append(f"DETAIL: {diagnosis.message_detail}")
    if diagnosis.message_hint:
        lines.append(f"HINT: {diagnosis.message_hint}")
    return "\n".join(lines)


def _pointer(text: str, position: int) -> Iterator[str]:
    before = text[: position - 1]
    number = before.count("\n")
    lines = text.split("\n")
    if number < len(lines):
        prefix = f"LINE {number + 1}: "
        yield prefix + lines[number]
        yield " " * (len(prefix) + len(before) - before.rfind("\n") - 1) + "^"


def _print_result(result: "pq.abc.PGresult | None") -> None:
    if result is None:
        return
    if result.status != pq.ExecStatus.TUPLES_OK:
        if result.command_status:
            click.echo(result.command_status.decode())
        return
    names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
    numeric = [_is_numeric(result.ftype(column)) for column in range(result.nfields)]
    rows = [
        [_text(result.get_value(row, column)) for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]
    lines = format_table(names, rows, numeric)
    if sys.stdout.isatty():
        _page(lines)
    else:
        click.echo("\n".join(lines))


def _page(lines: Sequence[str]) -> None:
    """Print, through `less` if the terminal is too small for the table."""
    size = shutil.get_terminal_size()
    fits = len(lines) < size.lines and max(map(len, lines), default=0) <= size.columns
    text = "\n".join(lines)
    less = None if fits else shutil.which("less")
    if less is None:
        click.echo(text)
    else:
        subprocess.run([less, "-SFRX"], input=text.encode(), check=False)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _is_numeric(type_oid: int) -> bool:
    return type_oid in (20, 21, 23, 26, 700, 701, 1700, 16460, 16462, 16464)
