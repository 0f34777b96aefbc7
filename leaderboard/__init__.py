"""Database to static site."""
