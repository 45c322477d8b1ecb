"""Curves as a picture, where matplotlib is installed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def plot_curves(everything: Mapping[str, Any], path: Path) -> str:
    """Draw the curves of the groups that have one into `path`; says what it did."""
    curves = [
        group["curve"]
        for group in everything.values()
        if isinstance(group, dict) and "curve" in group
    ]
    if not curves:
        return "no curves were measured: --plot needs the group scaling, model or testing"
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ModuleNotFoundError:
        return "matplotlib is not installed: the curves stand above as text"
    figure, axes = pyplot.subplots(len(curves), squeeze=False)
    for axis, curve in zip(axes[:, 0], curves, strict=True):
        lines = curve.get("lines") or {None: curve["points"]}
        for label, points in lines.items():
            axis.plot(
                [point["x"] for point in points],
                [point["y"] for point in points],
                marker="o",
                label=label,
            )
        if curve.get("logarithmic"):
            axis.set_xscale("log")
        if len(lines) > 1:
            axis.legend()
        axis.set(title=curve["title"], xlabel=curve["x"], ylabel=curve["y"], ylim=(0, None))
    figure.tight_layout()
    figure.savefig(path)
    return f"curves drawn into {path}"
