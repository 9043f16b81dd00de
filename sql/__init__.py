"""SQL texts to plans: dialect, name resolution, planning, optimization and EXPLAIN."""
