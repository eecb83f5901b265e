"""From a catalogue to a run folder: reading, splitting, training, measuring and reporting."""
