"""Runs a command and adds a last line to standard error: the peak memory of its largest process, in KiB."""

from __future__ import annotations

import resource
import subprocess
import sys

code = subprocess.run(sys.argv[1:], check=False).returncode
sys.stderr.write(f"\npeak-memory-kib={resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}")
sys.exit(code if code >= 0 else 128 - code)
