"""Importing this module fills the registry with every function, operator, aggregate and cast."""

import expr.functions.aggregates
import expr.functions.arithmetic
import expr.functions.arrays
import expr.functions.bits
import expr.functions.calendar_differences
import expr.functions.casts
import expr.functions.catalog_rows
import expr.functions.comparison
import expr.functions.date_fields
import expr.functions.datetimes
import expr.functions.derived
import expr.functions.format_function
import expr.functions.formatting
import expr.functions.hashes
import expr.functions.identifiers
import expr.functions.interval_arithmetic
import expr.functions.json_access
import expr.functions.json_builders
import expr.functions.json_texts
import expr.functions.logic
import expr.functions.mathematics
import expr.functions.miscellaneous
import expr.functions.patterns
import expr.functions.session
import expr.functions.strings
import expr.functions.tables
import expr.functions.type_names
import expr.functions.unicode
import expr.functions.windows  # noqa: F401
