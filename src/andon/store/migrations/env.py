"""Where alembic finds the connection: `store.migrate` hands it one."""

from alembic import context

from andon.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
