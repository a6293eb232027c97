"""Compile caches that jobs of a host share: one server each, and one owner of its cap (R55).

In: `[agent.sccache]` and the jobs that hooks tell of. Out: what a job's steps are given to reach their cache, and
how full and how useful each one is, with the report of the filesystem that it lies on.
"""
