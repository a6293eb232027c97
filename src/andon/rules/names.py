"""Which names are accepted: they become parts of runner names and of paths below an agent's root."""

import re

HOST_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
"""A host's name."""
