"""From radiology reports to an annotated data set, and data sets made without any report."""
