"""pyinfra's connections end where a host is gone, as OpenSSH's do by `ServerAliveInterval`.

paramiko sends keepalives, where ssh_config says so, but waits for no answer. A command on a host that lost
its power would be waited for until TCP gives up, after a quarter of an hour, or for ever behind a bastion.
"""

from __future__ import annotations

import gevent
from paramiko import Transport
from pyinfra.api import Host

_EVERY_S = 15
_TIMES = 4  # that an answer is waited for so long: the process itself may have been busy once
# Every server answers a request that it does not know, by RFC 4254, 4; this is OpenSSH's.
_ASKED = "keepalive@openssh.com"


def end_when_silent(host: Host) -> None:
    """Have a host asked for a sign of life from now on. What waits for one that is silent for a minute fails.

    + host: that pyinfra is connected to; where that is not by SSH, nothing is done
    """
    client = getattr(host.connector, "client", None)
    if client is not None:
        gevent.spawn(_ask, client.get_transport())


def _ask(transport: Transport) -> None:
    while transport.is_active():
        asked = gevent.spawn(transport.global_request, _ASKED)
        for _ in range(_TIMES):
            asked.join(_EVERY_S)
        if not asked.ready():
            transport.close()
            return
        gevent.sleep(_EVERY_S)
