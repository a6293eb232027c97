"""The process environment, read here and handed on as plain data."""

import os
from collections.abc import Mapping


def environment() -> Mapping[str, str]:
    """A copy of this process's environment as it is now."""
    return dict(os.environ)


def without_secrets(values: Mapping[str, str]) -> dict[str, str]:
    """The environment that a child may inherit: everything that is not ours to keep.

    `ANDON_*` names belong to our own programs, and a runner must not find the control plane's.
    """
    return {name: value for name, value in values.items() if not name.startswith("ANDON_")}
