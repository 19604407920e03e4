"""Adapters: the folder a train job makes, its digest, and prediction with it."""
