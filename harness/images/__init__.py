"""From a declaration to an image: the build context, the build, and the torch that fits the driver."""
