"""Stops an adopted runner's listener: by SIGINT, as Ctrl-C in its terminal would (interfaces.md section 3)."""

import os
import signal

from andon.agent.adoption.processes import Process, look_at_folders
from andon.agent.adoption.records import Adoption
from andon.agent.process_identity import open_process


def interrupt(adoption: Adoption, listener: Process) -> bool:
    """SIGINT to exactly this listener, unless a job process began since the look; says whether it was sent."""
    file = open_process(listener.pid, listener.start)
    if file is None:
        return False
    try:
        sight = look_at_folders(((adoption.path, adoption.uid),))[adoption.path]
        if sight.busy or listener not in sight.listeners:
            return False
        signal.pidfd_send_signal(file, signal.SIGINT)
    except OSError:
        return False
    finally:
        os.close(file)
    return True
