"""Access to the machine: devices, memory, files, locks, signals and standard output."""
