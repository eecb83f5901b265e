"""What a served model does with a request; travels inside every archive, imported relatively."""
