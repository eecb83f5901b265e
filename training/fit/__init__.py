"""The training loop: its objective, and the state that lets an interrupted fit go on."""
