"""Step three: relabel jobs, predictions and rankings."""
