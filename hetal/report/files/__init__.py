"""The report as files beside the page: figures, CSV and LaTeX."""
