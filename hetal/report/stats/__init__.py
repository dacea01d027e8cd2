"""Statistics of arrays: intervals, tests, ranks, penalties."""
