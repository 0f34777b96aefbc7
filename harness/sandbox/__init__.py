"""Our side of the container wall: a container's input, how it is watched, and the copying of its output."""
