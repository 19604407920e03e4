"""Suspicion scores: which given labels look wrong."""
