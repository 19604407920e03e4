"""Where an estimate is refused. (Imports nothing, so that the api can say so before a job is made.)"""

LEVEL = 0.95
EVENTS_PER_COEFFICIENT = 10
"""Expert labels of the rarer value that each coefficient needs (Peduzzi et al. 1996)."""
FEW_CLUSTERS = 20
RARE = 30
"""Expert labels of the rarer value below which a prevalence gets the interval for rare counts."""
READ_PER_LEVEL = 10
"""Texts of every level of a categorical column that experts must have read."""
MOST_LEVELS = 30
"""Levels of a categorical column: more are a grouping, not a covariate."""
MOST_SKIPPED = 0.1
"""Share of the drawn texts, and of the texts that they stand for, that may lack a settled value: above, those that have one are no random sample any more."""
