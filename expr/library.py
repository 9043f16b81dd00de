"""Importing this module fills the registry with every function, operator, aggregate and cast."""

import expr.functions.aggregates
import expr.functions.arithmetic
import expr.functions.casts
import expr.functions.catalog_rows
import expr.functions.comparison
import expr.functions.interval_arithmetic
import expr.functions.logic
import expr.functions.session
import expr.functions.type_names  # noqa: F401
