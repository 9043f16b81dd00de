"""The row engine's operators, one idea a module."""
