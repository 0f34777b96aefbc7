"""Help for authors of plugins: a folder to begin with."""
