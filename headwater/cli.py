"""The command line: `headwater` runs the server, `headwater sql` opens a shell.

Every option has an environment variable `HEADWATER_…`. The server prints one line on standard
output when it serves; everything meant for people goes to standard error. Scripts rely on both.
"""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click

from headwater.data_directory import DataDirectory, DataDirectoryError, find_running_server
from headwater.logs import LEVELS
from headwater.package_origin import MixedPackagesError, require_one_origin
from headwater.port_owner import AddressUnavailableError, require_available
from headwater.settings import (
    DEFAULT_DATA_DIRECTORY,
    BoundAddresses,
    InvalidSettingError,
    ListenAddress,
    LogFormat,
    Settings,
    parse_system_parameter,
)
from headwater.version import VERSION

EXIT_FAILURE: Final = 1
DEFAULT_USER: Final = "materialize"
DEFAULT_DATABASE: Final = "materialize"


class _AddressType(click.ParamType[ListenAddress]):
    name = "host:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ListenAddress:
        if isinstance(value, ListenAddress):
            return value
        try:
            return ListenAddress.parse(value)
        except InvalidSettingError as error:
            self.fail(str(error), param, ctx)


class _ParameterType(click.ParamType[tuple[str, str]]):
    name = "name=value"
    envvar_list_splitter = ";"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value[0], value[1]
        try:
            return parse_system_parameter(value)
        except InvalidSettingError as error:
            self.fail(str(error), param, ctx)


_ADDRESS: Final = _AddressType()


@click.group(
    invoke_without_command=True,
    context_settings={
        "auto_envvar_prefix": "HEADWATER",
        "show_default": True,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA_DIRECTORY,
    help="Where this server keeps everything that it stores itself.",
    show_envvar=True,
)
@click.option(
    "--metadata-url",
    metavar="postgresql://…",
    help="A PostgreSQL 14+ for the metadata, instead of the embedded one.",
    show_envvar=True,
)
@click.option(
    "--blob-url",
    metavar="postgres:|file:///…|s3://…",
    default="postgres:",
    help="Where large batches go; `postgres:` is the metadata's database.",
    show_envvar=True,
)
@click.option(
    "--sql-listen-addr",
    type=_ADDRESS,
    default="127.0.0.1:6875",
    help="PostgreSQL wire protocol for users.",
    show_envvar=True,
)
@click.option(
    "--internal-sql-listen-addr",
    type=_ADDRESS,
    default="127.0.0.1:6877",
    help="PostgreSQL wire protocol that logs everybody in as the superuser mz_system.",
    show_envvar=True,
)
@click.option(
    "--http-listen-addr",
    type=_ADDRESS,
    default="127.0.0.1:6876",
    help="Metrics, health and SQL over HTTP.",
    show_envvar=True,
)
@click.option(
    "--http-allowed-host",
    "http_allowed_hosts",
    multiple=True,
    metavar="NAME",
    envvar="HEADWATER_HTTP_ALLOWED_HOST",
    help="A further host name by which HTTP clients may call this server; repeatable.",
    show_envvar=True,
)
@click.option(
    "--allow-remote-internal-sql",
    is_flag=True,
    help="Let the internal SQL port listen on more than loopback.",
    show_envvar=True,
)
@click.option(
    "--system-parameter",
    "system_parameters",
    type=_ParameterType(),
    multiple=True,
    envvar="HEADWATER_SYSTEM_PARAMETER",
    help="Start value of a system parameter; repeatable (in the variable: separated by `;`).",
    show_envvar=True,
)
@click.option(
    "--log-format",
    type=click.Choice([log_format.value for log_format in LogFormat]),
    default=LogFormat.TEXT.value,
    show_envvar=True,
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_envvar=True)
@click.version_option(VERSION, "-V", "--version", prog_name="headwater")
@click.pass_context
def main(context: click.Context, /, log_format: str, **options: Any) -> None:
    """Headwater, a streaming SQL database. Without a command: run the server."""
    if context.invoked_subcommand is not None:
        context.obj = options["data_dir"].absolute()
        return
    options["data_dir"] = options["data_dir"].absolute()
    try:
        settings = Settings(log_format=LogFormat(log_format), **options)
    except InvalidSettingError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(run_server(settings))


@main.command()
@click.option("--address", type=_ADDRESS, help="The server's SQL address; found by itself.")
@click.option("--user", default=DEFAULT_USER, help="User name.")
@click.option("--database", default=DEFAULT_DATABASE, help="Database name.")
@click.option("-c", "--command", "commands", multiple=True, help="Run this and exit; repeatable.")
@click.pass_obj
def sql(
    data_dir: Path, address: ListenAddress | None, user: str, database: str, commands: tuple[str]
) -> None:
    """Open a SQL shell on a running server."""
    from headwater.shell import ShellTarget, run_shell  # a prompt library the server never needs

    if address is None:
        server = find_running_server(data_dir)
        address = server.sql if server is not None else None
    target = ShellTarget(address or ListenAddress("127.0.0.1", 6875), user, database)
    sys.exit(run_shell(target, commands))


def run_server(settings: Settings) -> int:
    """Run the server until a signal or a fatal error; returns the exit status."""
    try:
        require_one_origin()
        data_directory = DataDirectory(settings.data_dir)
    except (MixedPackagesError, DataDirectoryError) as error:
        return _fail(str(error))
    try:
        require_available(settings.sql_listen_addr, "--sql-listen-addr")
        require_available(settings.internal_sql_listen_addr, "--internal-sql-listen-addr")
        require_available(settings.http_listen_addr, "--http-listen-addr")
        return _run(settings, data_directory)
    except AddressUnavailableError as error:
        return _fail(str(error))
    finally:
        data_directory.release()


def _run(settings: Settings, data_directory: DataDirectory) -> int:
    import uvloop  # with boot, the bulk of the start-up time: after the cheap checks

    from headwater.boot import BootError, run
    from headwater.logs import configure

    configure(settings.log_format, settings.log_level)

    def announce(addresses: BoundAddresses) -> None:
        data_directory.announce(addresses)
        print_ready(addresses)

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signal_number, stop.set)
        await run(settings, stop, announce)

    try:
        uvloop.run(until_stopped())
    except BootError as error:
        return _fail(str(error))
    return 0


def print_ready(addresses: BoundAddresses) -> None:
    """Print the ready line for scripts and, on standard error, what people want to paste."""
    host, port = _reachable(addresses.sql)
    with contextlib.suppress(BrokenPipeError):
        click.echo(
            f"headwater ready: sql={addresses.sql} internal-sql={addresses.internal_sql} "
            f"http={addresses.http}"
        )
        sys.stdout.flush()
    http_host, http_port = _reachable(addresses.http)
    click.echo(
        f"\n  psql -h {host} -p {port} -U {DEFAULT_USER} {DEFAULT_DATABASE}"
        f"\n  http://{http_host}:{http_port}\n",
        err=True,
    )


def _reachable(address: ListenAddress) -> tuple[str, int]:
    """A host that a client on this machine can use for a listening address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    return host, address.port


def _fail(message: str) -> int:
    click.echo(f"headwater: {message}", err=True)
    return EXIT_FAILURE
