"""The archives of a model store, read: versions, and golden products with the answers they should get."""
