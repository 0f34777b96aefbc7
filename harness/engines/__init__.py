"""Ways to run an image: each module one engine, behind one small interface."""
