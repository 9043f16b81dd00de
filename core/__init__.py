"""Rows, datum encodings, timestamps, ids and errors: what every other package stands on."""
