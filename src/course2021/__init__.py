"""The course report of 2021: its experiments, its claims, and what runs say about them. Only src/report.py uses it."""
