"""pyinfra's settings for every run that starts in this folder."""

from pyinfra import config

config.REQUIRE_PYINFRA_VERSION = "~=3.10.0"

# A host that fails ends the run for all: no fleet goes on half done. The next run carries on from there.
config.FAIL_PERCENT = 0
