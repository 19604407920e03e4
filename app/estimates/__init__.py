"""Estimates for the paper: prevalences, differences and regressions from all texts' predictions and a closed audit sample."""
