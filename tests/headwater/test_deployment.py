"""The files around the program: what is written there must be true of the program."""

import json
import re
import subprocess
import time
import tomllib
import urllib.request
from pathlib import Path
from typing import Final

import pytest

from headwater.package_origin import PACKAGES
from headwater.version import VERSION
from tests.programs import require_program
from tests.running_server import REPOSITORY, HeadwaterServer

DASHBOARD: Final = REPOSITORY / "deploy/grafana/dashboards/headwater.json"
DEADLINE_S: Final = 30.0


def run(*command: str | Path) -> None:
    outcome = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.debian
def test_docker_compose_accepts_its_file() -> None:
    run(require_program("docker-compose", "docker-compose"), "config", "-q")


@pytest.mark.debian
def test_prometheus_accepts_its_configuration() -> None:
    promtool = require_program("promtool", "prometheus")
    run(promtool, "check", "config", "deploy/prometheus/prometheus.yml")


@pytest.mark.debian
def test_shellcheck_accepts_the_ci_script() -> None:
    run(require_program("shellcheck", "shellcheck"), ".ci/run")


def test_the_dashboard_shows_metrics_that_exist(headwater_server: HeadwaterServer) -> None:
    expressions = [
        target["expr"]
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
    ]
    names = {name for text in expressions for name in re.findall(r"\b(?:mz|process)_\w+", text)}
    deadline = time.monotonic() + DEADLINE_S
    while (missing := names - exposed_names(headwater_server)) and time.monotonic() < deadline:
        pass  # replicas report about themselves once a second
    assert not missing


def exposed_names(server: HeadwaterServer) -> set[str]:
    """The names of all samples that a scrape may give: those of histograms without a sample too."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/metrics") as answer:
        types = re.findall(r"^# TYPE (\S+) (\S+)", answer.read().decode(), re.MULTILINE)
    histograms = {name for name, kind in types if kind == "histogram"}
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "count", "sum")}
    return {name for name, _ in types} | parts


def test_the_version_is_one() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_every_package_is_everywhere() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    tools = project["tool"]
    assert {f"{name}*" for name in PACKAGES} == set(
        tools["setuptools"]["packages"]["find"]["include"]
    )
    assert set(PACKAGES) <= set(tools["mypy"]["packages"])
    assert set(PACKAGES) == set(tools["importlinter"]["root_packages"])
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    assert all(f"COPY {name} {name}\n" in dockerfile for name in PACKAGES)


def test_every_option_is_documented() -> None:
    text = (REPOSITORY / "docs/configuration.md").read_text()
    command_line = (REPOSITORY / "headwater/cli.py").read_text()
    options = set(re.findall(r'^    "(--[a-z-]+)"', command_line, re.MULTILINE))
    assert options
    assert {option for option in options if f"`{option}" not in text} == set()


def test_the_lock_files_have_every_dependency() -> None:
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    groups = document["dependency-groups"]
    for requirements, lock in (
        (document["project"]["dependencies"], "requirements.lock"),
        (groups["dev"], "requirements-dev.lock"),
        (groups["data"], "requirements-data.lock"),
    ):
        text = (REPOSITORY / lock).read_text()
        locked = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
        assert {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in requirements} <= locked


def test_the_lock_files_pin_hashes_and_name_no_registry() -> None:
    for path in REPOSITORY.glob("requirements*.lock"):
        text = path.read_text()
        assert "://" not in text
        assert text.count("==") <= text.count("--hash=sha256:")
