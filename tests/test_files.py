import os
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.files import is_remnant, make_folder, remove_remnants, replace


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_replaced_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        replace(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == {"file"}


def test_its_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(tmp_path / "file", b"old")
    seen: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append((tmp_path / "file").read_bytes()))
    replace(tmp_path / "file", b"new")
    assert seen == [b"old", b"new"]  # the file's own content, then the folder's entry for it


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(tmp_path / "file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == {"file"}


def test_a_link_in_the_files_place_is_replaced_and_what_it_led_to_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "file").symlink_to("precious")
    replace(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("planted", ["file.new", ".file.new", ".file.00000000.new"])
def test_no_planted_link_is_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "00000000")
    (tmp_path / "precious").write_text("mine")
    (tmp_path / planted).symlink_to("precious")
    if planted == ".file.00000000.new":
        with pytest.raises(FileExistsError):
            replace(tmp_path / "file", b"new")
    else:
        replace(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_text() == "mine"


def test_remnants_are_told_from_other_files_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        patch.setattr(os, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            replace(tmp_path / "file", b"new")
    [remnant] = tmp_path.iterdir()
    assert is_remnant(remnant)
    for other in ("file.new", ".file", "0123abcd.new", "manifest.json"):
        (tmp_path / other).touch()
    remove_remnants(tmp_path)
    assert names(tmp_path) == {"file.new", ".file", "0123abcd.new", "manifest.json"}


def test_a_name_of_any_length_a_file_system_takes_can_be_replaced(tmp_path: Path) -> None:
    for name in ("n" * 255, "é" * 127, "λ.csv"):
        replace(tmp_path / name, b"")
        assert (tmp_path / name).exists()


def test_a_folder_of_ours_is_no_link_and_no_file(tmp_path: Path) -> None:
    make_folder(tmp_path / "new" / "folder")
    make_folder(tmp_path / "new" / "folder")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    with pytest.raises(BadInput, match=r"link is a link to .*new; remove it"):
        make_folder(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="file is not a folder"):
        make_folder(tmp_path / "file")
