"""Step four of the loop: relabel jobs read the whole corpus again and rank the labels by suspicion."""
