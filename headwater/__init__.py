"""Command line, boot, embedded PostgreSQL and HTTP."""
