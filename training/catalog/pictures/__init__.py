"""From what a table says of pictures to the files: cells, names, and the listings of folders and zips."""
