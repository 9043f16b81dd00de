"""Load generators: what their ticks add and take away, as functions of the ticks' numbers."""
