"""`--help` has every option once, under a heading, and fits 80 columns."""

from __future__ import annotations

import re

import click
import pytest

from sightline.cli import COMMANDS, sightline
from sightline.cli.sections import SECTIONS, Sectioned


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_the_terminal_and_names_every_option_once(cli, name):
    text = cli(name, "--help").out
    assert max(map(len, text.splitlines())) <= 80
    command = sightline.get_command(click.Context(sightline), name)
    for option in command.params:
        if isinstance(option, click.Option):
            assert len(re.findall(rf"^  (?:-o, )?{re.escape(option.opts[-1])}(?![-\w])", text, re.M)) == 1
    assert len(re.findall(r"^  -h, --help", text, re.M)) == 1


def test_headings_come_in_one_order_in_every_command(cli):
    for name in COMMANDS:
        if isinstance(sightline.get_command(click.Context(sightline), name), Sectioned):
            found = [h for h in re.findall(r"^(\w.*):$", cli(name, "--help").out, re.M) if h in SECTIONS]
            assert found == [h for h in SECTIONS if h in found]
            assert len(found) >= 2


def test_every_name_under_a_heading_is_an_option_of_some_command():
    commands = [sightline.get_command(click.Context(sightline), name) for name in COMMANDS]
    known = {option.name for command in commands for option in command.params}
    assert {name for names in SECTIONS.values() for name in names} <= known
