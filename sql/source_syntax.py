"""Syntax of sources: load generators, their subsources, and webhooks."""

from sql.maintained_syntax import Option
from sql.syntax import Name, Statement


class CreateSource(Statement, frozen=True, gc=False):
    """CREATE SOURCE … FROM LOAD GENERATOR. `tables` None: no FOR clause; () is FOR ALL TABLES, else
    pairs of an output's name and the name it gets. `progress` is that of EXPOSE PROGRESS AS."""

    name: Name
    cluster: str | None
    generator: str
    options: tuple[Option, ...]
    tables: tuple[tuple[str, str], ...] | None
    progress: str | None
    if_not_exists: bool
    pos: int


class CreateSubsource(Statement, frozen=True, gc=False):
    """What a subsource's definition is: the output `reference` of `source`."""

    name: Name
    source: Name
    source_pos: int
    reference: str
    pos: int


class CreateWebhook(Statement, frozen=True, gc=False):
    """CREATE SOURCE … FROM WEBHOOK. `body_format` is in upper case; `refused` names a clause that
    is not supported."""

    name: Name
    cluster: str | None
    body_format: str
    includes_headers: bool
    refused: str | None
    if_not_exists: bool
    pos: int
