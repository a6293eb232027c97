"""How much processor time a process used, and how busy the machine is: a figure means little without."""

import os
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Processor seconds of a process and all its threads so far. Raises OSError when it is gone."""
    # The name in parentheses may hold spaces; everything after it is numbers.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy() -> str:
    """The machine's load over the last minute, and its cores, as words for the conditions."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start"
