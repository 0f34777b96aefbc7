"""The content of a board: its rows and ranks, paired comparisons, and the numbers that papers report."""
