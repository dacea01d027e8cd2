"""Learning tasks. One source a file, each `load(..., n_train, rng) -> Task`, without pool or noise."""
