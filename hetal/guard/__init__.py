"""Checks of users' own parts: what a strategy returns, writes to and stores; what a network and a loader give."""
