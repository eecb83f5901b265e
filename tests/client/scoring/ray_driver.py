"""A run on Ray in a process of its own: ``python ray_driver.py CATALOGUE OUT ARCHIVE ACTORS``.

Ray leaves processes and files to the end of its own, which tests would take for ours.
"""

import sys
from pathlib import Path

from stub_engine import run

from client.scoring.ray_data import RayEngine

if __name__ == "__main__":
    catalogue, out, archive, actors = sys.argv[1:]
    run(Path(catalogue), Path(out), RayEngine(Path(archive), actors=int(actors), cpus=1))
