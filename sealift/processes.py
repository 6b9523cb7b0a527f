"""Prefixes of commands whose processes must not outlive this one."""

from __future__ import annotations

# The command is killed when the thread that started it ends, however that is. Source: setpriv(1).
WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
# So are all of its own children, and its mounts, which nobody else sees, go with them: a build that outlives
# its parent would write into the next one's folder, and mmdebstrap's would have /sys and /dev mounted in it.
CONTAINED = (
    *(*WITH_US, "unshare", "--mount", "--propagation", "private"),
    *("--pid", "--fork", "--kill-child", "--mount-proc", "--"),
)
