"""What can be read off a report's words without a language model: sentences, sizes, places, negation, history."""
