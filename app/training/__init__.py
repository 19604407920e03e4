"""Step two: train jobs."""
