"""Networks, their initialisation and the summary table."""
