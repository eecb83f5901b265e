"""What the machine gives: devices, processes, threads, files, signals."""
