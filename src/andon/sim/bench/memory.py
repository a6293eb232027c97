"""How much memory a process holds."""

from pathlib import Path


def resident_mib(pid: int) -> float:
    """Resident memory in MiB, as the kernel counts it. Raises OSError when the process is gone."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"process {pid} tells no resident memory")


def highest_mib() -> float:
    """The most resident memory, in MiB, that this process ever held."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("this process tells no resident memory")
