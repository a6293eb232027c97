"""GitHub's own time limits, as the sandbox keeps them (github-contract.md sections 2-6).

Some are only observed by others, so all of them can be set.
"""

import msgspec


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """All in seconds, except `max_reruns`. None: no such limit."""

    pickup_s: float = 60.0
    """An assigned job that its runner did not take by then is queued again."""
    lock_s: float = 600.0
    """How long a running job stays the runner's without a renewal."""
    cancel_force_s: float = 300.0
    """After a cancel the server ends a job whose runner did not."""
    offline_s: float = 120.0
    """A runner that did not poll for so long is offline. Assumed; GitHub names no figure."""
    queue_limit_s: float = 86_400.0
    """A job that waited for a runner so long is cancelled."""
    ephemeral_idle_s: float = 86_400.0
    """An ephemeral runner that was not connected for so long is removed."""
    jit_connect_s: float | None = None
    """How long a JIT config is good for its first connect (others saw 300)."""
    log_url_s: float = 60.0
    """How long the address behind a log's 302 answers."""
    delivery_kept_s: float = 259_200.0
    """How long a delivery is listed and can be sent again."""
    rerun_s: float = 2_592_000.0
    """How long after its first attempt a run can be run again."""
    app_jwt_life_s: float = 600.0
    """How far off the end of an App's JSON web token may be."""
    app_jwt_leeway_s: float = 0.0
    """By how much the clock of its maker may be ahead."""
    installation_token_s: float = 3600.0
    """How long an installation's token is good."""
    manifest_code_s: float = 3600.0
    """How long the code of a manifest can be exchanged."""
    registration_token_s: float = 3600.0
    """How long a token for registering or removing runners is good."""
    max_reruns: int = 50
    """Reruns per run."""
