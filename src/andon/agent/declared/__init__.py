"""What outside the agent's root was declared, and may go by a rule of its own (R47): old checkouts of adopted runners,
entries of named caches, images of container engines. Whatever is not declared is none of ours.

In: `[agent.disk]`, the adopted runners, what the guard wants gone. Out: what may go, what it takes and why it stays,
for the account; and the deletions. What is old or beyond a cap is decided in `rules.declared_life`, what goes first in
`rules.disk_plan`.
"""
