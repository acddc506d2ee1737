"""Sweeps: which jobs a multirun has, and how a search chooses among them."""
