"""Which models there are: what a plugin declares, the hook it implements, and how plugins are discovered."""
