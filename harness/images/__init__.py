"""From a declaration to an image: the build context, the build itself, and the torch that fits the driver."""
