"""The system relations: views over the raw catalog collection, and constant relations."""
