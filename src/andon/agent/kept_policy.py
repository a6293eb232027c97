"""What the control plane said last of the configuration, kept on disk for a start while it is away (R86)."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from andon.agent.layout import Root
from andon.model.host_policy import HostPolicy
from andon.runtime.files import write_atomically
from andon.runtime.logging import Logger


class KeptPolicy:
    """`changed` is called with the policy at the start and whenever it is another one; it may raise OSError."""

    def __init__(self, root: Root, changed: Callable[[HostPolicy], None], log: Logger) -> None:
        self._path, self._changed, self._log = root.policy, changed, log
        self.now = self._read()
        self._tell()

    def hear(self, said: Mapping[str, Any]) -> None:
        """Takes what an answer said. What cannot be understood (a newer control plane) changes nothing."""
        try:
            policy = msgspec.convert(dict(said), HostPolicy, strict=False)
        except msgspec.ValidationError as error:
            self._log.warning("policy.not_understood", reason=str(error))
            return
        if policy == self.now:
            return
        self.now = policy
        self._tell()
        try:
            write_atomically(self._path, msgspec.json.encode(policy), mode=0o644, durable=False)
        except OSError as error:
            self._log.warning("policy.unwritten", path=str(self._path), reason=str(error))

    def _read(self) -> HostPolicy:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=HostPolicy)
        except FileNotFoundError:
            return HostPolicy()
        except (OSError, msgspec.MsgspecError) as error:
            self._log.warning("policy.unreadable", path=str(self._path), reason=str(error))
            return HostPolicy()

    def _tell(self) -> None:
        try:
            self._changed(self.now)
        except OSError as error:
            self._log.warning("notice.unwritten", reason=str(error))
