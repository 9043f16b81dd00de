"""The optimizer: pure rules from relations to relations, each in a module of its own."""
