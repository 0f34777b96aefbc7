"""Review by people: a sheet to fill in, and the paper's Table 2 from what they filled in."""
