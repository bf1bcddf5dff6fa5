"""A window on a screen, where there is one."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from matplotlib.figure import Figure

__all__ = ["show"]


def show(*figures: Figure) -> bool:
    """Open a window for each figure and wait until they are closed; False where there is no screen or no toolkit."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    for name in ("macosx", "qtagg", "tkagg", "gtk4agg", "wxagg"):
        try:
            canvas = import_module(f"matplotlib.backends.backend_{name}").FigureCanvas
            managers = [canvas.new_manager(figure, number) for number, figure in enumerate(figures, start=1)]
            for manager in managers:
                manager.show()
            type(managers[0]).start_main_loop()
        except Exception:  # each toolkit fails in its own way where it is not installed
            continue
        return True
    return False
