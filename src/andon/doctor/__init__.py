"""Gathers the facts that `rules/doctor_*` judge: from GitHub, the control plane, and this machine.

Reads only. The one call that is no read asks for a registration token, which changes nothing and
shows whether runners may be registered.
"""
