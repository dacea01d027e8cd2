"""Report: comparisons of strategies from their records, as a page, figures and tables."""
