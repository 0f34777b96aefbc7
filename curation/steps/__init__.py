"""The steps from a report to the findings worth annotating, one module each: pure functions on records."""
