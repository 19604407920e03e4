"""The job that estimates: reads the panel, solves every analysis, writes the replication package."""
