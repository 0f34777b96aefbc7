"""Upstream code and weights of models, pinned and checked."""
