"""A directory of its own for every job: made, leased, watched, and taken away once nothing can use it.

In flow the calls of hooks (whose process they come from is settled before, in `agent.hooks`), what the
kernel shows (`agent.leases`), and the control plane's word on runs. Out flow directories, what jobs are
told of them, and the host's lease reports. What follows when is decided in `rules.workspace_life`.
"""
