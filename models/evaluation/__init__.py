"""Evidence about a reading of labelled texts: intervals, paired tests, curves, twins, energy, the card. Needs numpy only, so that the api may use it."""
