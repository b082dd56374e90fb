"""A copy of the folder is told from the folder itself. Rule J11."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from server.core.ids import RoomId
from server.storage.journal import SqliteJournal
from tests.server.storage.test_journal import ROOM, Watch, entry
from tests.support import backups

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.storage.base import Opened

pytestmark = pytest.mark.anyio
NAME = "journal.sqlite"


async def written(folder: Path, *seqs: int) -> Opened:
    """The room as it was opened, before these entries were added."""
    watch = Watch()
    async with SqliteJournal(folder / NAME) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for seq in seqs:
            opened.log.append(entry(seq))
            await watch.until_durable(seq)
        return opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize("put_back", backups.WAYS)
async def test_j11_an_older_copy_of_the_whole_folder_opens_under_new_epochs_and_the_log_says_so(
    folder: Path,
    tmp_path: Path,
    put_back: Callable[[Path, Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = await written(folder, 1, 2)
    shutil.copytree(folder, tmp_path / "backup")
    await written(folder, 3, 4, 5)
    put_back(tmp_path / "backup", folder)
    assert caplog.text == ""

    again = await written(folder)
    assert again.entries == [entry(1), entry(2)]
    assert again.epoch != first.epoch
    assert "what was done after the copy was made isn't in it" in caplog.text
    caplog.clear()
    assert (await written(folder)).epoch == again.epoch
    assert caplog.text == ""


@pytest.mark.parametrize("put_back", backups.WAYS)
async def test_j11_so_does_one_that_was_made_while_the_server_ran(
    folder: Path, tmp_path: Path, put_back: Callable[[Path, Path], None]
) -> None:
    watch = Watch()
    async with SqliteJournal(folder / NAME) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        opened.log.append(entry(1))
        await watch.until_durable(1)
        shutil.copytree(folder, tmp_path / "backup")
        opened.log.append(entry(2))
        await watch.until_durable(2)
    put_back(tmp_path / "backup", folder)
    again = await written(folder)
    assert again.entries == [entry(1)]
    assert again.epoch != opened.epoch


async def test_j11_a_folder_that_was_renamed_is_the_same(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = await written(folder, 1)
    os.rename(folder, tmp_path / "moved")
    assert (await written(tmp_path / "moved")).epoch == first.epoch
    assert caplog.text == ""


@pytest.mark.parametrize("lost", ["-mark", "-place"])
async def test_j11_a_copy_without_the_files_that_tell_counts_as_a_copy(
    folder: Path, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = await written(folder, 1)
    os.unlink(folder / f"{NAME}{lost}")
    assert (await written(folder)).epoch != first.epoch
    assert "is a copy" in caplog.text


async def test_j11_a_folder_in_which_nothing_has_happened_is_no_copy(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with SqliteJournal(folder / NAME) as journal:
        assert not await journal.exists(RoomId("o" * 22))
    assert caplog.text == ""
