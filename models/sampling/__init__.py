"""Choosing texts: clusters to stratify by, doubtful texts, diverse texts. What needs scikit-learn; the draw itself is models.data.sampling."""
