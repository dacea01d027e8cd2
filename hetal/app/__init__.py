"""From a command line to a run: settings composed and checked, objects built, the run started."""
