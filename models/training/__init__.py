"""Fitting: trunk cache, wide branch, LoRA, calibration, thresholds, report."""
