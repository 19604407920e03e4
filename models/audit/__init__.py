"""Suspicion scores: how suspicious every given label is."""
