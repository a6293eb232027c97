"""The agent's side of the hooks (interfaces.md section 4).

In: one line of JSON from `programs/hook.py` over the agent's socket. Out: one line back, with what
the job's steps shall see. Between them: which job is that (`caller.py`, by evidence of the kernel
and not by what the caller says), what does it say of itself (`requests.py`, hostile text), and the
workspace that an injected `Workspaces` makes or ends (`answers.py`). `plan.py` leaves what a hook
needs while no agent answers, `orphans.py` reads what such hooks left.
"""
