"""Access to the machine: devices, processes, threads, files, signals."""
