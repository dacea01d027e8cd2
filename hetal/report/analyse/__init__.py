"""From records to numbers: settings, comparisons, rankings and what is missing."""
