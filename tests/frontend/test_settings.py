"""Session variables: values, transactions, startup options."""

import pytest

from core.errors import SqlError
from frontend.settings import SessionSettings, default_values, parse_options
from sql.variable_values import parse_search_path
from sql.variables import SESSION_VARIABLES, SYSTEM_PARAMETERS, check_alter_system, system_value


def fresh() -> SessionSettings:
    return SessionSettings(default_values({}))


def shown(settings: SessionSettings, name: str) -> str:
    return settings.text(SESSION_VARIABLES[name.lower()])


@pytest.mark.parametrize(
    "name", sorted(SESSION_VARIABLES) + sorted(SYSTEM_PARAMETERS), ids=lambda name: name
)
def test_defaults_are_valid_and_formats_are_stable(name: str) -> None:
    variable = SESSION_VARIABLES.get(name) or SYSTEM_PARAMETERS[name]
    text = variable.format(variable.parse(variable.default))
    assert variable.format(variable.parse(text)) == text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("timezone", "america/new_york", "America/New_York"),
        ("timezone", "5", "<+05>-05"),
        ("timezone", "-8", "<-08>+08"),
        ("timezone", "5.5", "<+05:30>-05:30"),
        ("timezone", "utc", "UTC"),
        ("statement_timeout", "1s", "1s"),
        ("statement_timeout", "90000", "90s"),
        ("statement_timeout", " 2 min ", "2min"),
        ("statement_timeout", "1500", "1500ms"),
        ("statement_timeout", "0", "0"),
        ("datestyle", "sql", "SQL, MDY"),
        ("datestyle", "German, DMY", "German, DMY"),
        ("client_encoding", "'utf-8'", "UTF8"),
        ("client_encoding", "UNICODE", "UTF8"),
        ("extra_float_digits", "3", "3"),
        ("search_path", 'A, "B c" ,public', 'a, "B c", public'),
        ("search_path", '"$user", public', '"$user", public'),
        ("transaction_isolation", "READ COMMITTED", "strict serializable"),
        ("transaction_isolation", "Serializable", "serializable"),
        ("standard_conforming_strings", "t", "on"),
        ("application_name", "a\nb\x1bc", "a\\x0ab\\x1bc"),
        ("client_min_messages", "DEBUG", "debug2"),
    ],
)
def test_values_are_normalised(name: str, text: str, expected: str) -> None:
    settings = fresh()
    settings.set(name, text)
    assert shown(settings, name) == expected


@pytest.mark.parametrize(
    ("name", "text", "sqlstate"),
    [
        ("no_such", "1", "42704"),
        ("server_version", "10", "55P02"),
        ("timezone", "../../etc/passwd", "22023"),
        ("timezone", "bad", "22023"),
        ("timezone", "1000", "22023"),
        ("standard_conforming_strings", "nonbool", "22023"),
        ("client_encoding", "latin1", "22023"),
        ("client_encoding", "'default'", "22023"),
        ("statement_timeout", "-1", "22023"),
        ("statement_timeout", "1 year", "22023"),
        ("statement_timeout", "9" * 30, "22023"),
        ("extra_float_digits", "4", "22023"),
        ("transaction_isolation", "snapshot isolation", "22023"),
        ("client_min_messages", "bad", "22023"),
        ("max_portals", "3", "55P02"),
    ],
)
def test_bad_values_are_refused_and_change_nothing(name: str, text: str, sqlstate: str) -> None:
    settings = fresh()
    before = dict(settings.values)
    with pytest.raises(SqlError) as caught:
        settings.set(name, text)
    assert caught.value.sqlstate == sqlstate
    assert settings.values == before


def test_error_names_the_variable_as_it_is_spelled() -> None:
    with pytest.raises(SqlError) as caught:
        fresh().set("TIMEZONE", "bad")
    assert caught.value.message == 'invalid value for parameter "TimeZone": "bad"'


def test_hint_lists_the_values() -> None:
    with pytest.raises(SqlError) as caught:
        fresh().set("client_min_messages", "bad")
    assert caught.value.hint == (
        "Available values: debug5, debug4, debug3, debug2, debug1, log, notice, warning, error."
    )


def test_set_local_ends_with_its_transaction() -> None:
    settings = fresh()
    settings.begin()
    settings.set("application_name", "outer")
    settings.set("application_name", "inner", is_local=True)
    assert shown(settings, "application_name") == "inner"
    settings.commit()
    assert shown(settings, "application_name") == "outer"


def test_set_after_set_local_wins_at_commit() -> None:
    settings = fresh()
    settings.begin()
    settings.set("application_name", "local", is_local=True)
    settings.set("application_name", "kept")
    settings.commit()
    assert shown(settings, "application_name") == "kept"


def test_rollback_takes_sets_with_it() -> None:
    settings = fresh()
    settings.set("application_name", "before")
    settings.commit()
    settings.begin()
    settings.set("application_name", "in")
    settings.set("timezone", "5", is_local=True)
    settings.rollback()
    assert shown(settings, "application_name") == "before"
    assert shown(settings, "timezone") == "UTC"


def test_savepoints_restore() -> None:
    settings = fresh()
    settings.begin()
    settings.set("application_name", "a")
    snapshot = settings.snapshot()
    settings.set("application_name", "b", is_local=True)
    settings.restore(snapshot)
    assert shown(settings, "application_name") == "a"
    settings.commit()
    assert shown(settings, "application_name") == "a"


def test_reset_goes_back_to_what_the_client_started_with() -> None:
    settings = fresh()
    settings.set_initial("application_name", "mine")
    settings.set("application_name", "other")
    settings.set("application_name", None)
    assert shown(settings, "application_name") == "mine"
    settings.set("extra_float_digits", "3")
    settings.reset_all()
    assert shown(settings, "extra_float_digits") == "1"


def test_reports_tell_each_change_once() -> None:
    settings = fresh()
    assert dict(settings.take_reports())["server_version"] == "9.5.0"
    assert not settings.has_changed
    settings.set("timezone", "Europe/Berlin")
    settings.set("extra_float_digits", "2")
    assert settings.has_changed
    assert settings.take_reports() == [("TimeZone", "Europe/Berlin")]
    assert settings.take_reports() == []


def test_startup_options() -> None:
    assert parse_options("-c a=b --c-d=e\\ f -cg=h") == [("a", "b"), ("c_d", "e f"), ("g", "h")]
    assert parse_options("") == []
    for bad in ("-x", "-c", "-c novalue", "word"):
        with pytest.raises(SqlError):
            parse_options(bad)


def test_search_path_elements() -> None:
    assert parse_search_path('A, "b""c", ,d') == ("a", 'b"c', "d")


def test_alter_system() -> None:
    assert check_alter_system("MAX_PORTALS", "20") == ("max_portals", "20")
    assert check_alter_system("timezone", None) == ("TimeZone", None)
    assert system_value("max_portals", {"max_portals": "20"}) == 20
    with pytest.raises(SqlError):
        check_alter_system("server_version", "1")
