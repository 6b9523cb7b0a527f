"""Started by START.py as a file, with nothing installed: its own project is where modules come from."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sealift.install.from_media import main

main(sys.argv[1:])
