"""SQLAlchemy: create_all, insert and select in Core and the ORM, reflection, over three drivers."""

import datetime
from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy import (
    URL,
    Column,
    Date,
    Engine,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    create_engine,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.running_server import HeadwaterServer

DRIVERS = ("psycopg", "pg8000")


class Base(DeclarativeBase):
    """The mapped tables."""


class Plane(Base):
    """Keys are given by the client: there are no sequences."""

    __tablename__ = "planes"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    tail: Mapped[str] = mapped_column(String(20), comment="as painted")
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    built: Mapped[datetime.date | None] = mapped_column(Date)
    note: Mapped[str] = mapped_column(Text, server_default="none")


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest, headwater_server: HeadwaterServer) -> Iterator[Engine]:
    url = URL.create(
        f"postgresql+{request.param}",
        username="materialize",
        host="127.0.0.1",
        port=headwater_server.sql_port,
        database="materialize",
    )
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    yield engine
    Base.metadata.drop_all(engine)
    engine.dispose()


def test_core(engine: Engine) -> None:
    planes = Base.metadata.tables["planes"]
    rows = [{"id": i, "tail": f"N{i}", "price": Decimal(i) / 4} for i in range(1, 101)]
    with engine.begin() as connection:
        connection.execute(insert(planes), rows)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(planes)) == 100
        total = connection.scalar(select(func.sum(planes.c.price)).where(planes.c.id > 98))
        assert total == Decimal("49.75")
    with engine.begin() as connection:
        connection.execute(update(planes).where(planes.c.id == 1).values(tail="D-1"))
    with engine.connect() as connection:
        found = connection.execute(select(planes.c.tail, planes.c.note).where(planes.c.id == 1))
        assert found.one() == ("D-1", "none")


def test_orm(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all(
            [Plane(id=1, tail="N1", built=datetime.date(2001, 2, 3)), Plane(id=2, tail="N2")]
        )
        session.commit()
    with Session(engine) as session:
        found = session.scalars(select(Plane).order_by(Plane.id)).all()
        assert [(p.tail, p.built, p.note) for p in found] == [
            ("N1", datetime.date(2001, 2, 3), "none"),
            ("N2", None, "none"),
        ]


def test_reflection(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE OR REPLACE VIEW fleet AS SELECT id, tail FROM planes"))
    try:
        inspector = inspect(engine)
        assert "planes" in inspector.get_table_names()
        assert inspector.get_view_names() == ["fleet"]
        assert "tail" in (inspector.get_view_definition("fleet") or "")
        assert inspector.has_table("planes")
        assert not inspector.has_table("nothing")
        columns = {column["name"]: column for column in inspector.get_columns("planes")}
        assert list(columns) == ["id", "tail", "price", "built", "note"]
        assert str(columns["tail"]["type"]) == "VARCHAR(20)"
        assert columns["tail"]["comment"] == "as painted"
        assert str(columns["price"]["type"]) == "NUMERIC(10, 2)"
        assert not columns["id"]["nullable"]
        assert columns["note"]["default"] == "'none'"
        reflected = MetaData()
        reflected.reflect(engine, views=True)
        assert isinstance(reflected.tables["planes"], Table)
        assert set(reflected.tables) >= {"planes", "fleet"}
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP VIEW fleet"))


def test_indexes_and_materialized_views(engine: Engine) -> None:
    tables = MetaData()
    seats = Table("seats", tables, Column("row", Integer), Column("letter", Text, index=True))
    Index("by_place", seats.c.row, func.lower(seats.c.letter))
    tables.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE MATERIALIZED VIEW rows AS SELECT DISTINCT row FROM seats"))
    try:
        inspector = inspect(engine)
        assert inspector.get_materialized_view_names() == ["rows"]
        assert "SELECT DISTINCT row" in (inspector.get_view_definition("rows") or "")
        found = {index["name"]: index for index in inspector.get_indexes("seats")}
        assert set(found) == {"by_place", "ix_seats_letter"}
        assert found["by_place"].get("expressions") == ["row", "lower(letter)"]
        assert found["ix_seats_letter"]["column_names"] == ["letter"]
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP MATERIALIZED VIEW rows"))
        tables.drop_all(engine)
