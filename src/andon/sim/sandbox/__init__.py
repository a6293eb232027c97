"""The sandbox GitHub: the part of GitHub that a fleet meets, in memory, with truth and faults.

`github.SandboxGitHub` is the state machine without I/O; `app.make_app` puts HTTP around it and
`server.serve_sandbox` serves it. What it imitates and what not is told in docs/sandbox.md.
"""
