"""The boards for Grafana, out of the panels of the page: `python -m demo.grafana files/grafana`.

Written by Grafana's own SDK, in the form of Grafana 11.6.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

from sealift.watch.panel import Board, Panel, Unit, Variable
from sealift.watch.queries import BOARDS

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
# Source: packages/grafana-data/src/valueFormats/categories.ts of Grafana.
_UNITS: dict[Unit, str] = {
    "s": "s",
    "requests/s": "reqps",
    "tokens/s": "cps",
    "ratio": "percentunit",
    "bytes": "bytes",
    "number": "short",
    "days": "d",
    "celsius": "celsius",
    "watts": "watt",
}
_VALUES: dict[Variable, str] = {
    "host": "label_values(up, host)",
    "role": "label_values(sealift_role_up, role)",
    "client": "label_values(envoy_usage_tokens_in, client)",
}
_WIDTH, _HEIGHT = 8, 8  # of a panel; a row has 24 columns


def boards() -> dict[str, str]:
    """Each board as JSON, by the name of its file."""
    return {f"{board.name}.json": f"{_json(board)}\n" for board in BOARDS}


def _json(board: Board) -> str:
    made = (
        Dashboard(f"sealift: {board.title}")
        .uid(f"sealift-{board.name}")
        .tags(["sealift"])
        .time("now-24h", "now")
        .refresh("1m")
        .timezone("utc")
        .readonly()
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for variable in board.variables:
        made = made.with_variable(_variable(variable))
    for panel in board.panels:
        made = made.with_panel(_panel(panel))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build())


def _variable(name: Variable) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(name)
        .datasource(_SOURCE)
        .query(_VALUES[name])
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel) -> TimeSeries:
    # Without this, Grafana draws its own line at 80 as if it were a limit.
    none = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(value=None, color="green")])
    made = (
        TimeSeries()
        .title(panel.title)
        .description(f"Empty? {panel.empty[0].upper()}{panel.empty[1:]}." if panel.empty else "")
        .datasource(_SOURCE)
        .unit(_UNITS[panel.unit])
        .axis_soft_min(0)
        .span(_WIDTH)
        .height(_HEIGHT)
        .fill_opacity(0)
        .thresholds(none)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    for number, line in enumerate(panel.lines):
        query = Dataquery().expr(line.expression).legend_format(line.legend).ref_id(chr(ord("A") + number))
        made = made.with_target(query.datasource(_SOURCE).range())
    return made


def write(folder: Path) -> None:
    """Write all boards to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in boards().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
