"""The category of a finding from its text: a small linear classifier over words and concepts."""
