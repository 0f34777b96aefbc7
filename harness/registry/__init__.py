"""The known models: the declaration of a plugin, the hook it implements, and the discovery of plugins."""
