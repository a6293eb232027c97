"""Leases: who may still use a workspace, kept so that neither SIGKILL nor a full disk forgets it.

In: a `LeaseRecord` for each workspace, from the hook's door. Out: the records, which of their job
processes ended, and what the kernel says still uses a workspace. Judging is done elsewhere.

One file on tmpfs for each lease, `leases/<id>`, is its record and its lock at once. The agent holds
a shared flock on it. Whoever wants to remove a workspace, the agent or any other program of the same
user (root's folder: root), does so under an exclusive one, in these steps, in this order:

1. open `leases/<id>` (never create it) and take `flock(LOCK_EX | LOCK_NB)`; refused: it is held;
2. the file under that name must still be the one that is locked (same inode), else let go;
3. read the record (`records.py`): while the process that it names lives (boot id, pid, start in
   ticks), it is held; one that is `fresh` or cannot be read is the agent's alone. An agent that was
   ended by SIGKILL holds no lock; its records stand;
4. look for processes of the job and of others, open files and mounts below the workspace, in every mount
   namespace; any: held;
5. rename the workspace, if it is still the inode of the record, into a trash on its filesystem;
6. unlink `leases/<id>`, and only then let go of the lock.

Never by age, by a pid file, or by a lock that was tested and let go again.
"""
