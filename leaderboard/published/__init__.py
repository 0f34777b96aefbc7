"""What may be published: the filtered copy of the results, and the rules of private splits."""
