"""The one authority (R11): schema, named queries, migrations, journal, outbox, leases.

The only room that knows SQL. Functions here take an open connection and run inside the caller's
transaction; `database` decides where that transaction runs.
"""
