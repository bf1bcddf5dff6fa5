"""`sightline animate`."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import RunError


@click.command("animate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.option("-o", "--output", "to", metavar="FILE", help="A .gif, or .mp4 where ffmpeg is (default RUN.gif).")
@click.option("--fps", type=click.IntRange(1, 60), default=10, metavar="N", help="Frames in a second (default 10).")
def animate_command(run: str, to: str | None, fps: int) -> int:
    """RUN as a moving picture: the line through the data on its way, epoch by epoch."""
    from ..pages.report import records_of
    from ..pages.scene import scene_of
    from ..runs.store import find_run
    from ..views.animation import animate

    folder = find_run(run)
    path = Path(to or f"{folder.name}.gif")
    scene = scene_of(folder)
    table = records_of(folder, [c["term"] for c in scene["coef"]])
    try:
        frames = animate(scene, table, path, fps=fps)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; choose another place with -o") from None
    click.echo(f"{path}: {frames:,} frames, {path.stat().st_size / 1000:,.0f} kB")
    return 0
