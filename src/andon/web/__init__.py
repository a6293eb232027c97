"""Everything that answers HTTP: webhook ingest, the agents' API, the read API, pages, metrics."""
