"""The refusals that the guide shows: answers, log lines, and what `token verify` says."""

from collections.abc import Mapping

import pytest

from tests.support.guide import Block, every_block
from tests.support.guide_samples import samples

SHOWN = [block for block in every_block() if block.name]


@pytest.fixture(scope="module")
def made() -> Mapping[str, str]:
    return samples()


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.name)
def test_what_is_shown_is_what_is_said(block: Block, made: Mapping[str, str]):
    """Each shown refusal is what the guard, the log and `token verify` really say.

    `.venv/bin/python -m tests.support.guide_samples` writes them anew.
    """
    assert block.text == made[block.name]


def test_each_refusal_is_shown_once(made: Mapping[str, str]):
    """Every refusal that is produced here stands in the guide, and stands there once."""
    assert sorted(block.name for block in SHOWN) == sorted(made)
