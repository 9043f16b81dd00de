"""The syntax tree."""

Statement = object
