"""Records of runs, read and checked as files of strangers."""
