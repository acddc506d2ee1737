"""Faults from outside: kills, full disks, flipped bits, and what they do to runs; `python -m tests.faults --help`."""
