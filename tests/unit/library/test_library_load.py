import errno
import os
import threading

import pytest
from library_texts import QUEUE, QUEUE_AS_PUBLISHED

from agent.library import Library, load
from agent.library.folder import MAX_DEPTH
from agent.library.load import Changes
from agent.library.markdown import MAX_BYTES


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "runbooks"
    folder.mkdir()
    return folder


def told(library: Library) -> list[str]:
    return [f"{problem.message}" for problem in library.problems]


def test_a_folder_is_loaded_with_its_folders(root):
    (root / "queue.md").write_text(QUEUE)
    (root / "more").mkdir()
    (root / "more" / "PUBLISHED.MD").write_text(QUEUE_AS_PUBLISHED)
    (root / "more" / "README.md").write_text("# How we work")
    (root / "more" / "broken.md").write_text("## Trigger Conditions\n")
    (root / "notes.txt").write_text(QUEUE)
    library = Library(root)
    assert sorted(library.runbooks) == ["published", "queue"]
    assert library.runbooks["queue"].path == (root / "queue.md").as_posix()
    assert [page.title for page in library.documentation] == ["How we work"]
    assert [broken.path for broken in library.broken] == [(root / "more" / "broken.md").as_posix()]
    assert library.snapshot.runbooks is library.runbooks


def test_the_revision_is_the_hash_of_the_bytes_whatever_they_are(root):
    import hashlib

    content = b"\xef\xbb\xbf" + QUEUE.replace("\n", "\r\n").encode()
    (root / "queue.md").write_bytes(content)
    runbook = Library(root).runbooks["queue"]
    assert runbook.revision == hashlib.sha256(content).hexdigest()
    assert runbook.text.encode() == content


def test_two_runbooks_with_one_id_are_both_taken_out(root):
    (root / "queue.md").write_text(QUEUE)
    (root / "other.md").write_text("---\nid: queue\n---\n" + QUEUE)
    library = Library(root)
    assert not library.runbooks
    assert told(library) == [
        f"the id queue is also that of {(root / 'queue.md').as_posix()}",
        f"the id queue is also that of {(root / 'other.md').as_posix()}",
    ]


def test_a_reload_takes_in_what_changed(root):
    (root / "a.md").write_text(QUEUE)
    (root / "b.md").write_text(QUEUE)
    (root / "c.md").write_text(QUEUE)
    library = Library(root)
    kept = library.runbooks["c"]
    assert not library.reload()
    (root / "a.md").write_text(QUEUE + "\nMore prose.\n")
    (root / "b.md").unlink()
    (root / "d.md").write_text(QUEUE)
    assert library.reload() == Changes(added=("d",), changed=("a",), removed=("b",))
    assert library.runbooks["c"] is kept


def test_a_file_that_became_broken_is_taken_out_and_told(root):
    (root / "a.md").write_text(QUEUE)
    library = Library(root)
    (root / "a.md").write_text(QUEUE.replace("Severity: high", "Severity: odd"))
    changes = library.reload()
    assert changes.removed == ("a",)
    assert changes.broken == ((root / "a.md").as_posix(),)
    assert not library.runbooks
    assert len(library.problems) == 1


def test_a_touched_file_is_read_and_not_parsed_again(root):
    (root / "a.md").write_text(QUEUE)
    library = Library(root)
    before = library.runbooks["a"]
    os.utime(root / "a.md", ns=(1, 1))
    assert not library.reload()
    assert library.runbooks["a"] is before


def test_a_link_that_leads_out_of_the_folder_is_refused(root, tmp_path):
    (tmp_path / "outside.md").write_text(QUEUE)
    (tmp_path / "folder").mkdir()
    (root / "a.md").symlink_to(tmp_path / "outside.md")
    (root / "b").symlink_to(tmp_path / "folder")
    (root / "c.md").symlink_to(root / "c.md")
    (root / "d.md").symlink_to(root / "missing.md")
    library = Library(root)
    assert not library.runbooks
    first, second, third, fourth = told(library)
    assert first == "a link that leads out of the folder of runbooks"
    assert second == "a link to a folder is not followed"
    assert third.startswith("cannot be read:")
    assert fourth == "cannot be read: No such file or directory"


def test_a_mounted_config_map_is_read_through_its_links(root):
    real = root / "..2024_01_01"
    real.mkdir()
    (real / "queue.md").write_text(QUEUE)
    (root / "..data").symlink_to(real)
    (root / "queue.md").symlink_to("..data/queue.md")
    library = Library(root)
    assert (list(library.runbooks), library.problems) == (["queue"], ())
    fresh = root / "..2024_01_02"
    fresh.mkdir()
    (fresh / "queue.md").write_text(QUEUE + "\nMore.\n")
    (root / "..data").unlink()
    (root / "..data").symlink_to(fresh)
    assert library.reload().changed == ("queue",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
        (b"# x\n\xff", "not valid UTF-8"),
    ],
)
def test_files_that_cannot_be_text_are_told(root, content, message):
    (root / "a.md").write_bytes(content)
    assert told(Library(root)) == [message]


def test_a_pipe_named_like_a_runbook_is_not_waited_for(root):
    os.mkfifo(root / "a.md")
    assert told(Library(root)) == ["cannot be read: it is not a regular file"]


def test_a_file_that_a_disk_would_not_give_for_a_moment_is_read_at_the_next_look(root, monkeypatch):
    (root / "queue.md").write_text(QUEUE)

    def sick(_: str) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as disk:
        disk.setattr(load, "_content", sick)
        library = Library(root)
        assert told(library) == ["cannot be read: Input/output error"]
    assert library.reload().added == ("queue",)
    assert told(library) == []


def test_a_missing_folder_is_a_problem_and_no_crash(tmp_path):
    library = Library(str(tmp_path / "nothing"))
    assert told(library) == ["cannot be read: No such file or directory"]
    assert not library.runbooks


def test_a_folder_that_is_a_file_is_a_problem(tmp_path):
    (tmp_path / "a").write_text("x")
    assert told(Library(tmp_path / "a")) == ["the folder cannot be read: Not a directory"]


def test_endless_folders_are_not_followed(root):
    folder = root
    for _ in range(MAX_DEPTH + 1):
        folder = folder / "a"
    folder.mkdir(parents=True)
    (folder / "a.md").write_text(QUEUE)
    assert told(Library(root)) == [f"folders nested more than {MAX_DEPTH} deep"]


def test_too_many_files_are_told_once(root, monkeypatch):
    monkeypatch.setattr("agent.library.folder.MAX_FILES", 2)
    for name in "abcd":
        (root / f"{name}.md").write_text("# x")
    library = Library(root)
    assert told(library) == ["more than 2 files"]
    assert len(library.documentation) == 2


def test_readers_see_one_consistent_state_while_it_reloads(root):
    pair = [root / "a.md", root / "b.md"]
    for path in pair:
        path.write_text(QUEUE)
    library = Library(root)
    seen = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(len(library.runbooks))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(10):
        for path in pair:
            path.write_text(f"---\nid: same\n---\n{QUEUE}" if number % 2 else QUEUE)
        library.reload()
    done.set()
    reader.join()
    assert seen <= {0, 2}


def test_paths_are_told_without_the_dot_of_the_folder_we_are_in(root, monkeypatch):
    (root / "queue.md").write_text(QUEUE)
    monkeypatch.chdir(root)
    assert Library(".").runbooks["queue"].path == "queue.md"


def test_a_double_that_goes_away_gives_the_other_one_back(root):
    (root / "queue.md").write_text(QUEUE)
    (root / "other.md").write_text("---\nid: queue\n---\n" + QUEUE)
    library = Library(root)
    (root / "other.md").unlink()
    assert library.reload() == Changes(added=("queue",))
    (root / "other.md").write_text("---\nid: queue\n---\n" + QUEUE)
    assert library.reload().removed == ("queue",)


def test_the_garbage_collector_is_as_it_was_after_a_load(root):
    import gc

    gc.disable()
    try:
        Library(root)
        assert not gc.isenabled()
    finally:
        gc.enable()
    Library(root)
    assert gc.isenabled()
