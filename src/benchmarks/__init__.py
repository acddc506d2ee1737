"""How fast training is here: what competes, and how it is timed."""
