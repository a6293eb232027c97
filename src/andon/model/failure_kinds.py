"""The kinds of failure: family, who is at fault, and what a rerun may do about it (R75, R77).

One table; the verdict engine, the healing loop and the pages read it and nothing else.
"""

from enum import StrEnum
from typing import Final

import msgspec


class Family(StrEnum):
    """Whose failure it is, in one word."""

    INFRA = "infra"
    CODE = "code"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Fault(StrEnum):
    """Who has to put it right."""

    HOST = "host"
    FLEET = "fleet"
    SERVICE = "service"
    CODE = "code"
    USER = "user"
    UNKNOWN = "unknown"


class Kind(msgspec.Struct, frozen=True):
    """One row: `rerun` is whether one more attempt can help at all, under every guard of R77."""

    family: Family
    fault: Fault
    rerun: bool
    remedy: str


_I, _C = Family.INFRA, Family.CODE
_H, _F, _S = Fault.HOST, Fault.FLEET, Fault.SERVICE

KINDS: Final[dict[str, Kind]] = {
    "disk-full": Kind(_I, _H, True, "Put the unit aside until it has room; once more elsewhere."),
    "workspace-race": Kind(_I, _F, True, "Once more elsewhere; find who deletes or writes there."),
    "permission": Kind(_I, _H, True, "Put the owner of the path right; once more elsewhere."),
    "toolchain-drift": Kind(_I, _H, True, "Compare fingerprints; once more on a host like the majority."),
    "runner-lost": Kind(_I, _H, True, "Look at heartbeat and kernel log; once more elsewhere."),
    "runner-shutdown": Kind(_I, _F, True, "Look who stopped the runner; once more."),
    "runner-setup": Kind(_I, _H, True, "Put the unit aside; once more elsewhere."),
    "oom-kill": Kind(_I, _H, True, "Once more with more memory; never the same size twice."),
    "dns": Kind(_I, _H, True, "Probe name lookup on the host; once more after a pause."),
    "network": Kind(_I, _S, True, "Probe the network of the host; once more after a pause."),
    "registry": Kind(_I, _S, True, "Once more after a pause; hold the queue if many hosts see it."),
    "rate-limit": Kind(_I, _S, True, "Once more after the limit's reset; fewer pulls at a time."),
    "docker-daemon": Kind(_I, _H, True, "Put the unit aside; restart the engine when it is idle."),
    "clock-skew": Kind(_I, _H, True, "Put the unit aside until its clock is right."),
    "git-checkout": Kind(_I, _H, True, "Wipe that clone; once more."),
    "cache-service": Kind(_I, _S, True, "Once more; a cache should fail no job."),
    "artifact-service": Kind(_I, _S, True, "Once more after a pause."),
    "action-download": Kind(_I, _S, True, "Once more after a pause; a local mirror helps."),
    "gpu-driver": Kind(_I, _H, True, "Put the unit aside; reset the device when it is idle."),
    "device-sim": Kind(_I, _H, True, "Put the unit aside; reset the device when it is idle."),
    "leftover-state": Kind(_I, _H, True, "Clean up what an earlier job left; once more elsewhere."),
    "host-lock": Kind(_I, _H, True, "Find who holds it; once more elsewhere."),
    "resource-limit": Kind(_I, _H, True, "Raise the limit or find what leaks; once more elsewhere."),
    "fs-io": Kind(_I, _H, True, "Put the unit aside at once; look at the disk before it comes back."),
    "tls-trust": Kind(_I, _H, False, "Mend the trust store; several repositories on one host mean the host."),
    "credentials": Kind(_I, _F, False, "Renew the token or the login."),
    "hung": Kind(Family.TIMEOUT, Fault.UNKNOWN, True, "Capture the stacks before the limit; once more elsewhere."),
    "slow": Kind(Family.TIMEOUT, Fault.UNKNOWN, True, "Once more on a warm host, or a limit from what it takes."),
    "superseded": Kind(Family.CANCELLED, Fault.USER, False, "Nothing: a newer run took its place."),
    "manual": Kind(Family.CANCELLED, Fault.USER, False, "Nothing: somebody cancelled it."),
    "compile": Kind(_C, Fault.CODE, False, "Mend the code."),
    "link": Kind(_C, Fault.CODE, False, "Mend the code."),
    "test": Kind(_C, Fault.CODE, False, "Mend the code or the test."),
    "test-timeout": Kind(_C, Fault.CODE, False, "Mend the test or its limit."),
    "crash": Kind(_C, Fault.CODE, False, "Mend the code."),
    "lint": Kind(_C, Fault.CODE, False, "Format or mend the code."),
    "dependency": Kind(_C, Fault.CODE, False, "Mend the versions asked for."),
    "docker-build": Kind(_C, Fault.CODE, False, "Mend the Dockerfile."),
    "workflow-config": Kind(_C, Fault.CODE, False, "Mend the workflow."),
    "heap-limit": Kind(_C, Fault.CODE, False, "Use less memory, or raise the runtime's own limit."),
    "unknown": Kind(Family.UNKNOWN, Fault.UNKNOWN, False, "Look at it; a rule can be made of its group."),
}
