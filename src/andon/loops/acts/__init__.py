"""What the outbox executor can do, a file for each kind of act; `table` names them all."""
