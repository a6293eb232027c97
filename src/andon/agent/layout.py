"""Where the agent keeps things below its root, and who may read them.

The root is readable by every slot's user, because runners live below it; what could help a job to
forge our records is not: records belong to the agent, only `runner/` belongs to the slot's user.
"""

from pathlib import Path

import msgspec

from andon.model.config import Agent
from andon.runtime.errors import Refused

IN_WORK = Path("_work", "_andon")
"""Below the runner's folder. A JIT config names `_work`; nothing of the official runner is called `_andon`."""


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's root folder and the names of everything in it."""

    path: Path

    @property
    def run(self) -> Path:
        """Sockets and the lock of the living agent."""
        return self.path / "run"

    @property
    def bin(self) -> Path:
        """Programs of ours that are started by path."""
        return self.path / "bin"

    @property
    def hooks(self) -> Path:
        """What official runners call before and after a job."""
        return self.path / "hooks"

    @property
    def standalone(self) -> Path:
        """`standalone/<slot>/`: what hooks made while the agent was away, in a folder of the slot's user."""
        return self.path / "standalone"

    @property
    def orphans(self) -> Path:
        """One record for each of them; every slot's user may add one."""
        return self.path / "orphans"

    @property
    def slots(self) -> Path:
        """`slots/<number>/<claim id>/`: one folder for each runner that was started."""
        return self.path / "slots"

    @property
    def runs(self) -> Path:
        """`runs/<slot>/<workspace id>/`: the directories of jobs (host-facts.md 2.1)."""
        return self.path / "runs"

    @property
    def trash(self) -> Path:
        """What is over and waits to be deleted."""
        return self.path / "trash"

    @property
    def bases(self) -> Path:
        """What warm starts will be cloned from."""
        return self.path / "bases"

    @property
    def caches(self) -> Path:
        """`caches/<program>/<cache>/`: what jobs share of what they compiled."""
        return self.path / "caches"

    @property
    def cache_doors(self) -> Path:
        """The sockets of their servers."""
        return self.run / "caches"

    @property
    def ballast(self) -> Path:
        """Room that is given up when there is none left (R53)."""
        return self.path / "ballast"

    @property
    def deletions(self) -> Path:
        """What was deleted here, for longer than tmpfs keeps it."""
        return self.path / "deletions.jsonl"

    @property
    def journal(self) -> Path:
        """The deletion journal, where the tmpfs of the leases has no room for it."""
        return self.path / "journal"

    @property
    def adopted(self) -> Path:
        """One record for each runner that was adopted."""
        return self.path / "adopted"

    @property
    def host_token(self) -> Path:
        """The credential that enrolment gave (interfaces.md section 2)."""
        return self.path / "host.token"

    @property
    def lock(self) -> Path:
        """Locked by the living agent; holds its pid."""
        return self.run / "agent.lock"

    @property
    def socket(self) -> Path:
        """Answers hooks and `andon agent status`."""
        return self.run / "agent.sock"

    @property
    def shim_socket(self) -> Path:
        """Where shims say that something changed."""
        return self.run / "shim.sock"

    @property
    def policy(self) -> Path:
        """What the control plane said last of pools and pages."""
        return self.path / "policy.json"

    @property
    def past_claims(self) -> Path:
        """Claims that ended here and are forgotten otherwise."""
        return self.path / "past-claims.json"

    def claim(self, slot: int, claim: str) -> Path:
        """The folder of one claim's runner."""
        return self.slots / str(slot) / claim

    def own(self) -> frozenset[Path]:
        """What lies in the root and is the agent's own; what is neither here nor a folder of others is unknown."""
        files = (self.host_token, self.policy, self.past_claims, self.ballast, self.deletions, self.journal)
        # The first is what `andon up` gives a started agent to write to.
        more = (
            self.path / "agent.log",
            self.deletions.with_name(f"{self.deletions.name}.1"),
            self.ballast.with_name(f".{self.ballast.name}"),
        )
        return frozenset((self.run, self.bin, self.hooks, self.orphans, self.adopted, *files, *more))

    def make(self) -> None:
        """Makes the folders. Raises Refused when the root cannot be written."""
        try:
            for folder in (self.path, self.run, self.bin, self.hooks, self.slots, self.runs):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o755)
            self.trash.mkdir(exist_ok=True)
            self.trash.chmod(0o700)
        except OSError as error:
            raise Refused(
                f"{self.path}: the agent's root cannot be made or written ({error.strerror}). "
                "Name another [agent] root, or mend the folder's owner and mode."
            ) from None


def root_of(agent: Agent, data: Path) -> Root:
    """The root that `[agent]` names; relative ones lie below `data`."""
    return Root(path=(data / (agent.root or agent.name)).absolute())
