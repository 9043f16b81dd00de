"""pgwire, sessions and the drivers of SELECT, DML, DDL and COPY."""
