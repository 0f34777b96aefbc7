"""The commands of ``bench curate``."""
