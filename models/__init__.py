"""The machine-learning core: no web, no SQL, no queue."""
