"""The alerts of a site that fire now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sealift.site.inventory import Host
from sealift.watch.prometheus import Question, ask

# Watchdog, of severity none, fires always.
_FIRING = 'ALERTS{alertstate="firing",severity!="none"}'
_TIMEOUT_S = 20  # whoever looks at hosts does not wait for a Prometheus that hangs
_ORDER = {"critical": 0, "warning": 1}
_OTHER = (
    "role",
    "client",
    "certificate",
    "objective",
    "gpu",
    "mountpoint",
    "name",
)  # labels that tell what an alert is about


@dataclass(frozen=True)
class Alert:
    """An alert that fires.

    + host: that it is about, by its name in the inventory; empty where it is about none
    + about: what else it is about, such as `role=chat`
    """

    name: str
    severity: str
    host: str
    about: str


def firing(monitors: Sequence[Host], now: int) -> tuple[Alert, ...]:
    """Ask the site's Prometheus; the most severe come first.

    + monitors: hosts that run it
    + now: seconds since 1970

    Raises SealiftError where none answers.
    """
    series = ask(monitors, {"alerts": Question(_FIRING)}, now, _TIMEOUT_S).of("alerts")
    alerts = {
        Alert(
            name=labels.get("alertname", "?"),
            severity=labels.get("severity", ""),
            host=labels.get("host", ""),
            about=" ".join(f"{label}={labels[label]}" for label in _OTHER if labels.get(label)),
        )
        for labels in (each.labels for each in series)
    }
    return tuple(
        sorted(alerts, key=lambda each: (_ORDER.get(each.severity, 2), each.host, each.name, each.about))
    )
