"""The database: sessions and tables."""
