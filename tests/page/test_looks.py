"""Accessible by computation: axe, contrast, colors that stay apart in every kind of vision, motion, dark, print."""

from __future__ import annotations

import itertools
from importlib.resources import files

import numpy as np
import pytest

from .test_page import settled

pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
VIOLATIONS = """async () => (await axe.run(document)).violations.map(v => [v.id, v.help, v.nodes.map(n => n.html.slice(0, 160)).slice(0, 3)])"""


def violations(page):
    page.evaluate((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    return page.evaluate(VIOLATIONS)


@pytest.mark.parametrize("name", ["example", "many", "logistic", "softmax", "module", "diverged"])
@pytest.mark.parametrize("mode", ["light", "dark", "present", "phone", "open"])
def test_axe_finds_nothing(server, runs, open_page, name, mode):
    if mode != "light" and name not in ("example", "softmax"):
        pytest.skip("light stands for all: the others look at two kinds of runs")
    more = "&present=1" if mode == "present" else ""
    size = {"width": 390, "height": 844} if mode == "phone" else {}
    page = open_page(
        f"{server.base}#run={getattr(runs, name)}{more}", color_scheme="dark" if mode == "dark" else "light",
        bypass_csp=True, **size,
    )  # fmt: skip
    if mode == "open":
        page.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true; })")
        settled(page)
    assert violations(page) == []


def test_axe_finds_nothing_in_the_list(server, runs, open_page):
    page = open_page(f"{server.base}#run=&with={runs.plain},{runs.example}", ready=False, bypass_csp=True)
    page.wait_for_function("() => document.querySelectorAll('#beside path.layer').length === 2")
    assert violations(page) == []


ROLES = ("--now", "--exact", "--bad", "--ok")
VISION = {  # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
    "all": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(color):
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    t = XYZ @ np.clip(rgb, 0, 1) / (XYZ @ np.ones(3))
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(a, b):
    light = sorted(XYZ[1] @ linear(color) for color in (a, b))
    return (light[1] + 0.05) / (light[0] + 0.05)


def colors(page, *names):
    found = page.evaluate(
        "(names) => names.map(n => getComputedStyle(document.documentElement).getPropertyValue(n).trim())", list(names)
    )
    return [c if len(c) == 7 else "#" + "".join(2 * d for d in c[1:]) for c in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_stay_apart_in_every_kind_of_vision(server, runs, open_page, scheme):
    page = open_page(f"{server.base}#run={runs.example}", color_scheme=scheme)
    roles = colors(page, *ROLES)
    for matrix in VISION.values():
        seen = [lab(np.array(matrix) @ linear(color)) for color in roles]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= 20.0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_have_contrast(server, runs, open_page, scheme):
    page = open_page(f"{server.base}#run={runs.example}", color_scheme=scheme)
    panel, back, text, mute, control, *roles = colors(page, "--panel", "--bg", "--fg", "--mute", "--control", *ROLES)
    for ground in (panel, back):
        assert contrast(text, ground) >= 4.5
        assert contrast(mute, ground) >= 4.5
        assert contrast(control, ground) >= 3.0
        for role in roles:
            assert contrast(role, ground) >= 4.5


def test_now_and_exact_differ_without_color(server, runs, open_page):
    page = open_page(f"{server.base}#run={runs.example}")
    dashes = [
        page.locator(f"#draw-A path.{name}").evaluate("n => getComputedStyle(n).strokeDasharray")
        for name in ("now", "exact")
    ]
    assert dashes[0] == "none"
    assert dashes[1] != "none"


def test_dark_follows_the_system_without_a_reload(server, runs, open_page):
    page = open_page(f"{server.base}#run={runs.example}", color_scheme="light")
    before = colors(page, "--bg")
    page.emulate_media(color_scheme="dark")
    assert colors(page, "--bg") != before
    page.keyboard.press("d")
    settled(page)
    assert colors(page, "--bg") == before


def test_nothing_moves_by_itself(server, runs, open_page):
    page = open_page(f"{server.base}#run={runs.example}", reduced_motion="reduce")
    page.evaluate("() => window.sightline.page.set({lr: 1e-5})")
    settled(page)
    before = page.screenshot()
    page.wait_for_timeout(200)
    assert page.screenshot() == before


def test_every_picture_has_a_name_a_sentence_and_a_table(server, runs, open_page):
    for name in ("example", "many", "logistic", "module"):
        page = open_page(f"{server.base}#run={getattr(runs, name)}")
        for svg in page.locator(".stage > svg").all():
            if not svg.is_visible():
                continue
            ids = svg.get_attribute("aria-labelledby").split()
            assert all(page.locator(f"#{i}").inner_text().strip() for i in ids)
        for fold in page.locator("details.data").all():
            if fold.is_visible():
                fold.locator("summary").click()
                fold.locator("tbody tr").first.wait_for(timeout=5000)
