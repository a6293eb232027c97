"""Stand-ins for the world around the product: virtual time, the sandbox GitHub, a stand-in runner.

Nothing here is used by the control plane or the agent; they meet these programs over HTTP only.
"""
