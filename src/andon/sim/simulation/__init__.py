"""A whole fleet on virtual time: the real control plane and agent logic, the sandbox GitHub, played hosts.

In: a seed, a span of time, and what goes wrong. Out: whether an invariant broke, and a hash of
everything that happened. `simulation.py` puts it together; each other file is one part of the stage.
"""
