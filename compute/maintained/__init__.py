"""Dataflows in a replica: what feeds them, what runs them, where their changes go."""
