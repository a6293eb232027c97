"""Benchmarks: each measures ours and a bare baseline in turn, in one run, and gives the ratio.

The machine may be shared and noisy, so a figure is a median of several rounds, and what counts is
the ratio. `andon bench NAME` prints it.
"""
