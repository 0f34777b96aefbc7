"""What a model needs from outside: upstream code and weights, pinned and checked."""
