"""Adapters: what train jobs make."""
