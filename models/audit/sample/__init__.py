"""Audit samples, and what may be claimed of a corpus from them."""
