"""Checks on what users bring: what a strategy returns, writes to and remembers; what a network and a loader give."""
