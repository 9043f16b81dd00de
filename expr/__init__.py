"""Scalar and relational expressions, functions and aggregates with PostgreSQL's exact semantics."""
