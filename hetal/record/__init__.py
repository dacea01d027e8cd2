"""What a run leaves: the schema of a record, writing and reading it, and what identifies the run."""
