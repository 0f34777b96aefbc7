"""Our side of the container wall: what a container is given, how it is watched, and what is taken back from it."""
