"""Directory trees that jobs wrote: put aside, deleted and mended without ever leaving them.

Everything in such a tree is hostile: links that point out, mounts, names with any bytes, depths without
end. So nothing here follows a path: each step goes from an open directory to a name in it, and the kernel
is told not to cross links and mounts (host-facts.md 1.6). Who may be put aside is decided elsewhere
(`agent.leases`); what lies in a trash of ours is nobody's any more.
"""
