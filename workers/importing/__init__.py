"""Import jobs: read a file twice (once to understand it, once to stage it), then settle everything in SQL in one transaction."""
