"""The formats, one a file. `registry` imports whatever is here, so that a new file needs no list changed."""
