"""The record of a run: its schema, its writer and reader, and the identity of the run."""
