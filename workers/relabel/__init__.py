"""The child of a relabel job: freeze, read every text with models that have not seen it, score, rank."""
