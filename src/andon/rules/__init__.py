"""Pure decisions, a file each: facts in, values out. No clock, no chance, no I/O."""
