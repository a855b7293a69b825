"""What the stores' adapters share: one SQLite connection with a writer thread, one Mongo client."""
