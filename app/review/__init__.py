"""Step four: disagreements, reviews, claims and exports."""
