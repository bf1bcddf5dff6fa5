"""A run as a moving picture."""

from __future__ import annotations

import pytest
from PIL import Image

import sightline
from sightline.cli import main


def test_a_gif_has_a_frame_for_each_epoch(tmp_path, heights, capsys):
    run = sightline.fit(heights, "weight ~ height", lr=0.1, epochs=6, output=tmp_path / "runs", figures="none")
    with pytest.raises(SystemExit) as ended:
        main(["animate", str(run.folder), "-o", str(tmp_path / "a.gif")])
    assert ended.value.code == 0
    assert "7 frames" in capsys.readouterr().out
    with Image.open(tmp_path / "a.gif") as picture:
        frames = []
        for i in range(picture.n_frames):
            picture.seek(i)
            frames.append(picture.convert("RGB").tobytes())
    assert len(set(frames)) == 7


@pytest.mark.parametrize(("name", "needle"), [("a.avi", "ends in .gif"), ("no/such/a.gif", "cannot write")])
def test_names_that_cannot_be_written(tmp_path, heights, capsys, name, needle):
    run = sightline.fit(heights, "weight ~ height", epochs=1, lr=0.1, output=tmp_path / "runs", figures="none")
    with pytest.raises(SystemExit) as ended:
        main(["animate", str(run.folder), "-o", str(tmp_path / name)])
    assert ended.value.code in (2, 3)
    assert needle in capsys.readouterr().err
