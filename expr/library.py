"""Importing this module fills the registry with every function, operator, aggregate and cast."""
