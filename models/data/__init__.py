"""Folds, embargo, near-duplicates and sampling."""
