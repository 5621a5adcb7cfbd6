"""Many pictures in one go: what is to be done, in whose hands, what is done, and going on after any kind of end."""
