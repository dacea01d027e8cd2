"""The machine that a run uses: devices, memory, files, locks, signals and standard output."""
