"""The labelled excerpts that triage is measured on, and which of them were held out while rules were written.

Excerpts of public failures, with labels by one person; what the fields mean says `triage-facts.md`.
"""

from importlib import resources
from typing import Final

import msgspec


class Case(msgspec.Struct, frozen=True):
    """One excerpt with its label, such as `infra/disk-full`."""

    id: str
    label: str
    family: str
    text: str
    trap: str

    @property
    def kind(self) -> str:
        """Of the failure."""
        return self.label.partition("/")[2]

    @property
    def scorable(self) -> bool:
        """Ambiguous ones support two readings."""
        return self.family != "ambiguous"

    @property
    def held_out(self) -> bool:
        """Not looked at while the first rules were written."""
        return self.id in HELD_OUT


HELD_OUT: Final = frozenset(
    [
        "infra-runner-shutdown-004",
        "infra-oom-kill-002",
        "infra-oom-kill-008",
        "infra-dns-003",
        "infra-network-001",
        "infra-network-006",
        "infra-network-011",
        "infra-network-013",
        "infra-registry-003",
        "infra-rate-limit-010",
        "infra-rate-limit-011",
        "infra-docker-daemon-007",
        "infra-git-checkout-001",
        "infra-git-checkout-004",
        "infra-git-checkout-006",
        "infra-cache-service-006",
        "infra-cache-service-007",
        "infra-artifact-service-002",
        "infra-device-sim-002",
        "infra-device-sim-004",
        "infra-host-lock-005",
        "infra-resource-limit-002",
        "infra-fs-io-002",
        "infra-tls-trust-001",
        "infra-credentials-005",
        "infra-credentials-007",
        "timeout-hung-003",
        "ambiguous-005",
        "code-test-001",
        "code-compile-004",
        "code-compile-005",
        "code-compile-009",
        "code-compile-011",
        "code-test-012",
        "code-lint-001",
        "code-compile-014",
        "code-test-020",
        "code-crash-003",
        "code-test-021",
        "code-test-023",
        "code-test-026",
        "code-compile-024",
        "code-compile-025",
    ]
)


def cases() -> list[Case]:
    """All of the development set."""
    text = (resources.files("andon.sim.bench") / "triage_dev.jsonl").read_bytes()
    return [msgspec.json.decode(line, type=Case) for line in text.splitlines() if line.strip()]
