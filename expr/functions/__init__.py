"""Tables of functions, operators, casts and aggregates, one module a topic."""
