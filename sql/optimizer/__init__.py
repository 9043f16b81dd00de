"""The optimizer: pure rules over `expr.relation`, run in a fixed order by `pipeline.optimize`."""
