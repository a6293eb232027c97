"""The stand-in runner: a real program that behaves as GitHub's official runner does.

Two processes as there: the listener (`python -m andon.sim.runner`) and, per job, a second one that
stands for `Runner.Worker`. Standard library only, because many of them start on few cores; facts
about the official program are from github-contract.md section 6 unless another source is named.
"""
