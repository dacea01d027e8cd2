"""The data that the page's charts are drawn from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hetal.report.analyse.analysis import Study
from hetal.report.analyse.curves import base_rates
from hetal.report.analyse.results import Curve
from hetal.report.page.glyphs import MARKERS


def page_data(study: Study) -> Mapping[str, Any]:
    """Return the data as plain JSON values."""
    measures = {
        chart.key: {
            "title": chart.title, "x": chart.x_axis, "y": chart.y_axis, "base": chart.base,
            "ceiling": chart.ceiling, "whole": chart.whole, "scale": chart.measure.scale,
            "digits": chart.measure.decimals, "unit": "%" if chart.measure.scale == 100 else "",
            "sign": chart.measure.sign if chart.measure.better else 1,
        }
        for chart in study.charts
    }  # fmt: skip
    settings = []
    for setting in study.settings:
        ceiling = study.ceilings.get(setting.name)
        settings.append(
            {
                "name": setting.name,
                "facets": setting.facets,
                "base_rates": _rounded(dict(base_rates(setting))),
                "ceiling": _rounded(asdict(ceiling)) if ceiling else None,
                "series": {
                    m: {label: _curve(study.curves[setting.name, label, m]) for label in setting.runs}
                    for m in measures
                },
            }
        )
    return {"settings": settings, "looks": study.looks, "markers": MARKERS, "measures": measures}


def script_json(value: Any) -> str:
    """Return JSON that cannot end the script element that holds it."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _curve(curve: Curve) -> dict[str, Any]:
    """Return a curve; of a seed only its heights, where its x are those of the mean."""
    values = {key: _rounded(getattr(curve, key)) for key in ("x", "mean", "low", "high", "n")}
    values["seeds"] = []
    for line in curve.seeds:
        same_x = [x for x, _ in line] == curve.x[: len(line)]
        values["seeds"].append(_rounded([y for _, y in line] if same_x else line, digits=4))
    return values


def _rounded(value: Any, digits: int = 5) -> Any:
    """Return plain JSON values with so many significant digits; NaN is null."""
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item, digits) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.{digits}g}")
    return value
