"""A site as a folder: built, checked, served, published."""
