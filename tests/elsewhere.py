"""A module that a strategy of the tests, which is not defined here, may remember something in."""

COUNTS: dict[str, int] = {}
