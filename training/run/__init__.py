"""One training run: its options, its data, its folder and its record."""
