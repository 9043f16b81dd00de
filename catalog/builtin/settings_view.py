"""pg_settings: every variable with the session's value of it.

The values of session variables are calls of current_setting(), which the session replaces before
the plan runs; those of system parameters come from the raw catalog.
"""

from typing import Final

from catalog.builtin.definitions import PG_CATALOG, view
from sql.variables import SESSION_VARIABLES

_SESSION_VALUES: Final = ", ".join(
    f"('{variable.name}', current_setting('{variable.name}'))"
    for variable in SESSION_VARIABLES.values()
)

SETTINGS_VIEWS: Final = (
    view(
        170,
        PG_CATALOG,
        "pg_settings",
        """
        name text! = s.name
        setting text = s.setting
        unit text = NULL
        category text! = 'Headwater'
        short_desc text! = s.short_desc
        extra_desc text = NULL
        context text! = s.context
        vartype text! = s.vartype
        source text! = CASE WHEN s.setting = s.reset_val THEN 'default' ELSE 'session' END
        min_val text = NULL
        max_val text = NULL
        enumvals text[] = NULL
        boot_val text! = s.boot_val
        reset_val text! = s.reset_val
        sourcefile text = NULL
        sourceline int4 = NULL
        pending_restart bool! = false
        """,
        f"""
        FROM (
            SELECT d.name, d.short_desc, d.context, d.vartype, d.boot_val,
                coalesce(p.value, d.boot_val) AS reset_val,
                coalesce(v.setting, p.value, d.boot_val) AS setting
            FROM mz_internal.mz_settings d
                LEFT JOIN (VALUES {_SESSION_VALUES}) v (name, setting) ON v.name = d.name
                LEFT JOIN mz_internal.mz_system_parameters p ON p.name = d.name
        ) s
        """,
        comment="Variables and parameters.",
    ),
)
