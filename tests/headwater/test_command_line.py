"""The command line: what goes wrong at start is said at once, with the way out."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from headwater.data_directory import DataDirectory, DataDirectoryError, find_running_server
from headwater.package_origin import PACKAGES
from headwater.port_owner import AddressUnavailableError, port_owner, require_available
from headwater.settings import (
    BoundAddresses,
    InvalidSettingError,
    ListenAddress,
    Settings,
    parse_system_parameter,
)
from headwater.version import VERSION
from tests.running_server import REPOSITORY


def headwater(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "headwater", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_option_and_its_variable() -> None:
    text = " ".join(headwater("--help").stdout.split())
    for option in ("data-dir", "metadata-url", "blob-url", "sql-listen-addr", "http-listen-addr"):
        assert f"--{option} " in text
        assert f"HEADWATER_{option.upper().replace('-', '_')}" in text.replace(" ", "")


def test_version() -> None:
    assert headwater("--version").stdout.strip() == f"headwater, version {VERSION}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sql-listen-addr", "here"], "is not an address such as 127.0.0.1:6875"),
        (["--sql-listen-addr", "127.0.0.1:99999"], "is not an address"),
        (["--internal-sql-listen-addr", "0.0.0.0:6877"], "whoever reaches it is a superuser"),
        (["--sql-listen-addr", ":1", "--http-listen-addr", ":1"], "must differ"),
        (["--system-parameter", "nonsense"], "not of the form name=value"),
    ],
)
def test_bad_options(arguments: list[str], message: str) -> None:
    outcome = headwater(*arguments)
    assert outcome.returncode == 2
    assert message in " ".join(outcome.stderr.split())


def test_a_taken_port_names_its_owner_and_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        variables = {"HEADWATER_HTTP_LISTEN_ADDR": address}
        outcome = headwater("--data-dir", str(tmp_path), environment=variables)
    assert outcome.returncode == 1
    assert f"{address} is taken by " in outcome.stderr
    assert f"(pid {os.getpid()}:" in outcome.stderr
    assert "--http-listen-addr 127.0.0.1:0" in outcome.stderr
    assert outcome.stdout == ""


def test_a_taken_data_directory_names_the_address(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    outcome = headwater("--data-dir", str(tmp_path))
    assert outcome.returncode == 1
    assert f"pid {os.getpid()}, still starting" in outcome.stderr
    address = ListenAddress("127.0.0.1", 6875)
    directory.announce(BoundAddresses(address, address.with_port(1), address.with_port(2)))
    outcome = headwater("--data-dir", str(tmp_path))
    assert "serving SQL at 127.0.0.1:6875 and HTTP at http://127.0.0.1:2" in outcome.stderr
    assert "--data-dir" in outcome.stderr
    directory.release()


def test_a_data_directory_can_be_taken_again(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    DataDirectory(tmp_path).release()
    assert find_running_server(tmp_path) is None


def test_the_holder_of_a_data_directory_is_found(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    address = ListenAddress("::1", 6875)
    directory.announce(BoundAddresses(address, address, address))
    server = find_running_server(tmp_path)
    assert server is not None
    assert server.sql == address
    directory.release()


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryError, match="--data-dir"):
        DataDirectory(tmp_path / "file" / "data")


def test_garbage_in_the_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"\xff[1, 2")
    assert find_running_server(tmp_path) is None
    DataDirectory(tmp_path).release()
    (tmp_path / "lock").write_text(json.dumps([1]))
    assert find_running_server(tmp_path) is None


@pytest.mark.parametrize("package", ["core", "sql"])
def test_a_package_from_elsewhere_is_named(tmp_path: Path, package: str) -> None:
    intruder = tmp_path / package / "__init__.py"
    intruder.parent.mkdir()
    intruder.touch()
    # As an installed `headwater` would be started: the checkout comes after PYTHONPATH.
    script = (
        f"import sys; sys.path = [p for p in sys.path if p]; sys.path.append({str(REPOSITORY)!r})\n"
        "from headwater.package_origin import require_one_origin; require_one_origin()"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"MixedPackagesError: Headwater runs from {REPOSITORY}" in outcome.stderr
    assert str(intruder) in outcome.stderr


def test_the_list_of_packages_is_whole() -> None:
    found = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    assert found - {"benchmarks", "tests"} == set(PACKAGES)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:6875", ListenAddress("127.0.0.1", 6875)),
        ("[::1]:0", ListenAddress("::1", 0)),
        (":6875", ListenAddress("0.0.0.0", 6875)),
        ("localhost:1", ListenAddress("localhost", 1)),
    ],
)
def test_addresses(text: str, address: ListenAddress) -> None:
    assert ListenAddress.parse(text) == address
    assert ListenAddress.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "6875", "a:b", "a:-1", "a:65536", "::1:80", "a:٣"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidSettingError):
        ListenAddress.parse(text)


def test_remote_internal_sql_must_be_asked_for() -> None:
    everywhere = ListenAddress("0.0.0.0", 6877)
    with pytest.raises(InvalidSettingError):
        Settings(internal_sql_listen_addr=everywhere)
    Settings(internal_sql_listen_addr=everywhere, allow_remote_internal_sql=True)


def test_system_parameters() -> None:
    assert parse_system_parameter("Max_Tables = a=b") == ("max_tables", " a=b")


def test_an_unknown_host_is_explained() -> None:
    with pytest.raises(
        AddressUnavailableError, match=r"--sql-listen-addr no\.such\.invalid:1: unknown"
    ):
        require_available(ListenAddress("no.such.invalid", 1), "--sql-listen-addr")


def test_nobody_owns_a_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        assert port_owner(port) is not None
    assert port_owner(port) is None
