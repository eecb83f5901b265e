"""The measurements, round by round."""
