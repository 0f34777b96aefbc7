"""What a board says: its rows and ranks, paired comparisons, and the numbers that papers report."""
