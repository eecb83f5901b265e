"""Write a table again with other values in some cells: in its own format, with everything else as it was."""
