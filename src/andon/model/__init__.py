"""Nouns as frozen structs, the transition, coupling and deadline tables, and what goes over wires.

Data only: nothing here reads a clock, a socket or a file.
"""
