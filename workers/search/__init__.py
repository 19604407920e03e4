"""Searches: the parent that makes trials and chooses, and the trials that any jobs worker may run."""
