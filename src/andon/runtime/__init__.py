"""Clock, ids, randomness, environment, configuration files, logging, loops. Knows nothing of CI.

The only room that may touch the global clock, randomness and environment; every other room gets
them handed in (design.md section 3).
"""
