"""Estimates for the paper: valid intervals from all texts' predictions and a designed sample of expert labels."""
