"""The command line and the Python entry point: settings composed and checked, objects built, runs started."""
