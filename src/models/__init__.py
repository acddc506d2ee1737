"""Networks, initial weights and the summary table."""
