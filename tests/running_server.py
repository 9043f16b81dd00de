"""A Headwater server under test: a real process, started from this checkout."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
STDERR_LINES_KEPT: Final = 2_000
READY_LINE: Final = re.compile(
    r"headwater ready: sql=(?P<sql>\S+) internal-sql=(?P<internal>\S+) http=(?P<http>\S+)"
)


class ServerFailedError(AssertionError):
    """The server ended or did not get ready; carries its standard error."""


class HeadwaterServer:
    """One server on one data directory; ports change from start to start."""

    def __init__(
        self,
        data_dir: Path,
        arguments: Sequence[str] = (),
        *,
        program: Sequence[str] = ("headwater",),
    ) -> None:
        self.data_dir = data_dir
        self.sql_port = 0
        self.internal_port = 0
        self.http_port = 0
        self._arguments = tuple(arguments)
        self._program = tuple(program)  # a module that runs the server, and its own arguments
        self._process: subprocess.Popen[str] | None = None
        self._stderr_lines: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        self._stderr_reader: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def stderr(self) -> str:
        """What the server has said on standard error so far (its last lines)."""
        return "".join(self._stderr_lines)

    @property
    def dsn(self) -> str:
        """A libpq URL of the SQL port with the default user and database."""
        return f"postgresql://materialize@127.0.0.1:{self.sql_port}/materialize"

    @property
    def internal_dsn(self) -> str:
        """A libpq URL of the internal SQL port, as the superuser."""
        return f"postgresql://mz_system@127.0.0.1:{self.internal_port}/materialize"

    def start(self) -> None:
        """Start the process and return when it has printed its ready line."""
        command = [
            *(sys.executable, "-m", *self._program, "--data-dir", str(self.data_dir)),
            *("--sql-listen-addr", "127.0.0.1:0", "--internal-sql-listen-addr", "127.0.0.1:0"),
            *("--http-listen-addr", "127.0.0.1:0", *self._arguments),
        ]
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        self._stderr_reader = threading.Thread(
            target=self._keep_stderr, args=(process.stderr,), daemon=True
        )
        self._stderr_reader.start()
        watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            match = self._await_ready_line(process.stdout)
        finally:
            watchdog.cancel()
        if match is None:
            process.wait()
            self._close_streams(process)
            raise ServerFailedError(
                f"server exited with {process.returncode} before it was ready:\n{self.stderr}"
            )
        self.sql_port = _port(match["sql"])
        self.internal_port = _port(match["internal"])
        self.http_port = _port(match["http"])

    def stop(self) -> int:
        """Stop with SIGTERM; returns the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the process in its tracks; it knows nothing of it when it goes on."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop (if it still runs) and start again on the same data directory."""
        if self._process is not None:
            self.stop()
        self.start()

    def wait(self) -> int:
        """Wait until the process ends by itself; returns the exit status."""
        process = self._running()
        status = process.wait(timeout=STOP_TIMEOUT_S)
        self._close_streams(process)
        return status

    def close(self) -> None:
        """Stop the process if it still runs, and give back what it held."""
        if self.is_running:
            self.stop()
        elif self._process is not None:
            self.wait()

    def _running(self) -> "subprocess.Popen[str]":
        assert self._process is not None, "the server is not running"
        return self._process

    def _end(self, signal_number: signal.Signals) -> int:
        process = self._running()
        process.send_signal(signal_number)
        try:
            status = process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._close_streams(process)
            raise ServerFailedError(f"server did not stop:\n{self.stderr}") from None
        self._close_streams(process)
        return status

    def _close_streams(self, process: "subprocess.Popen[str]") -> None:
        self._process = None
        if self._stderr_reader is not None:
            self._stderr_reader.join(timeout=STOP_TIMEOUT_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def _keep_stderr(self, stream: IO[str]) -> None:
        for line in stream:
            self._stderr_lines.append(line)

    @staticmethod
    def _await_ready_line(stdout: IO[str]) -> re.Match[str] | None:
        for line in stdout:
            match = READY_LINE.match(line)
            if match is not None:
                return match
        return None


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
