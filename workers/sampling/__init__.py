"""Choosing the texts of a sample: what they are chosen by, and each strategy."""
