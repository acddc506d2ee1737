"""Sweeps: which jobs a multirun has, how they are launched, and how a search chooses among them."""
