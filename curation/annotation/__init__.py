"""Between the findings and the data set: tasks for annotators out, masks from them in."""
