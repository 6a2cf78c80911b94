# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verbs about data are made of: rows as lines, checksums, encryption, manifests, retention, places."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data import (
    arrival,
    backup,
    manifest,
    parallel,
    places,
    projects,
    relocation,
    tables,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data.manifest import (
    StoredObject,
    TableFile,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data.places import (
    Folder,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data.repository import (
    Repository,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data.sealing import (
    Plain,
    Sealed,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data.sqlite_database import (
    SqliteDatabase,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.data.tables import (
    BINARY,
    JSON,
    PLAIN,
    Checksum,
    Table,
)
from ansible_collections.mlops.mlflow_aws.programs.server.mlflow_aws_server.errors import (
    EntryError,
)

DAY = 86400
TABLE = Table("t", ("a", "b", "c", "d"), (PLAIN, PLAIN, JSON, BINARY), ("a",))
# What could be taken for the end of a value or of a row.
ODD_TEXTS = [
    "", "\n", ",\n", "],\n[", "],[", '"', "\\", "\x00", "\x1e", "]\x1e[", "\u2028", "é", "🍇",
    "\udc80", "\ud83c", "a,\n b],\n[c", "NaN", "null", "' OR 1=1 --", "%s", "x" * 70_000,
]  # fmt: skip
ODD_NUMBERS = [
    0, -1, 2**63 - 1, -(2**63), 0.0, -0.0, 0.1, 1e308, 5e-324, 1.7976931348623157e308,
    math.nan, math.inf, -math.inf, True, None,
]  # fmt: skip


def random_row(chance: random.Random) -> list[Any]:
    """Return a row of odd values."""
    plain = [*ODD_TEXTS, *ODD_NUMBERS]
    content = {chance.choice(ODD_TEXTS): [chance.choice(ODD_NUMBERS), chance.choice(ODD_TEXTS)]}
    return [
        chance.choice(plain),
        "".join(chance.choices(ODD_TEXTS[:-1], k=4)),
        chance.choice([None, json.dumps(content)]),
        chance.choice([None, b"", chance.randbytes(50), b"],\n[\x1e"]),
    ]


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same, no numbers and signs of zero included."""
    return type(one) is type(other) and repr(one) == repr(other)


@pytest.mark.parametrize("seed", range(20))
def test_rows_come_back_as_they_were(seed: int) -> None:
    """One line each, whatever is in them."""
    chance = random.Random(seed)
    rows = [random_row(chance) for _number in range(chance.randrange(60))]
    lines = tables.encode(TABLE, rows)
    assert len(lines) == len(rows)
    assert not any(b"\n" in line for line in lines)
    back = tables.decode(TABLE, lines)
    for row, found in zip(rows, back, strict=True):
        assert same(row[:2], found[:2])
        assert row[3] == found[3]
        assert (row[2] is None) == (found[2] is None)
        assert row[2] is None or same(json.loads(row[2]), json.loads(found[2]))
    # A second time nothing changes, and each line stands for itself.
    assert tables.encode(TABLE, back) == lines
    assert [tables.encode(TABLE, [row])[0] for row in rows] == lines


@pytest.mark.parametrize("size", [1, 3, 5, 100, -1])
def test_a_stream_ends_with_its_last_chunk(size: int) -> None:
    """Not with an empty one, as what compresses gives before it has enough."""
    stream = places._Stream([b"", b"ab", b"", b"", b"cdef", b"", b"g", b""])
    assert b"".join(iter(lambda: stream.read(size), b"")) == b"abcdefg"


def test_a_checksum_does_not_depend_on_the_sign_of_zero() -> None:
    """Of numbers alone; a line keeps it, and so does a text."""

    def checksum(*row: Any, name: bytes = b"") -> str:
        found = Checksum()
        found.add([name + line for line in tables.encode(TABLE, [row])])
        return found.text()

    for text in (*ODD_TEXTS, "-0.0", ",-0.0,"):
        for name in (b"", b"metrics "):
            assert checksum(-0.0, text, None, b"a", name=name) == checksum(
                0.0, text, None, b"a", name=name
            )
    assert checksum(0.0, "-0.0", None, None) != checksum(0.0, "0.0", None, None)
    assert checksum(0.0, "", None, None) != checksum(0, "", None, None)


def test_json_does_not_depend_on_the_database() -> None:
    """MySQL has its own order of keys and spaces, and SQLite takes a number for one."""
    texts = ['{"b": 1, "a": "é"}', '{"a":"\\u00e9","b":1}', '{"a": "é", "b": 1}']
    lines = {tables.encode(TABLE, [[1, "", text, None]])[0] for text in texts}
    assert len(lines) == 1
    assert tables.encode(TABLE, [[1, "", 5, None]]) == tables.encode(TABLE, [[1, "", "5", None]])


def test_half_a_surrogate_pair_in_json_is_one_that_a_database_takes() -> None:
    """SQLite takes its escape, and no text with the half itself."""
    ((_a, _b, text, _d),) = tables.decode(
        TABLE, tables.encode(TABLE, [[1, "", '{"a": "\\ud800"}', None]])
    )
    with closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute("SELECT ?", (text,)).fetchone() == ('{"a":"\\ud800"}',)


@pytest.mark.parametrize("row", [[b"\xff", "", None, None], [1, "", "{", None], [1, "", "", None]])
def test_a_value_that_cannot_be_written_is_told(row: list[Any]) -> None:
    """With the table's name."""
    with pytest.raises(EntryError, match=r"^The table t holds a value that cannot be written \("):
        tables.encode(TABLE, [row])


def test_a_checksum_does_not_depend_on_order_but_on_all_else() -> None:
    """Of rows that are there twice, too."""
    chance = random.Random(1)
    lines = [chance.randbytes(9) for _number in range(100)]

    def text(*batches: list[bytes]) -> str:
        found = Checksum()
        for batch in batches:
            found.add(batch)
        return found.text()

    whole = text(lines)
    assert len(whole) == 32
    for _time in range(20):
        other = chance.sample(lines, len(lines))
        assert text(other[:30], [], other[30:]) == whole
        changed = [*lines]
        place = chance.randrange(100)
        changed[place] = bytes([changed[place][0] ^ 1]) + changed[place][1:]
        assert text(changed) != whole
    assert len({whole, text(lines, lines[:1]), text(lines, lines[:1] * 2), text(lines[1:])}) == 4
    assert text() == "0" * 32


def test_columns_that_are_not_there_are_left_out() -> None:
    """The others keep the order that was asked for, each with its kind."""
    assert TABLE.only(["d", "x", "a"]) == Table("t", ("d", "a"), (BINARY, PLAIN), ("a",))


# Encryption.

KEY, OTHER = (base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2))
CHUNK = 1 << 20


def sealed(data: bytes, key: str = KEY) -> bytes:
    """Return data, encrypted."""
    return b"".join(Sealed(key).seal([data]))


def opened(stored: bytes, key: str = KEY, step: int = 700_001) -> bytes:
    """Return what was encrypted, read in chunks of a size that fits nothing."""
    chunks = (stored[start : start + step] for start in range(0, len(stored), step))
    return b"".join(Sealed(key).open(chunks, "/the/file"))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17])
def test_what_is_encrypted_comes_back(size: int) -> None:
    """At every border of chunks, however it is cut on its way, and never twice the same."""
    data = random.Random(size).randbytes(size)
    stored = sealed(data)
    assert opened(stored) == data
    assert opened(stored, step=CHUNK + 16) == data
    assert size < 100 or data[:1000] not in stored
    assert sealed(data) != stored
    # In pieces of another size, the same.
    pieces = [data[start : start + 99_999] for start in range(0, size, 99_999)]
    assert opened(b"".join(Sealed(KEY).seal(pieces))) == data


SIZE = 2 * CHUNK + 100
STORED_CHUNK = CHUNK + 16
ALTERATIONS: dict[str, Callable[[bytes], bytes]] = {
    "nothing is left": lambda _stored: b"",
    "a part of the salt is left": lambda stored: stored[:15],
    "the salt is left": lambda stored: stored[:16],
    "the last byte is missing": lambda stored: stored[:-1],
    "the last chunk is missing": lambda stored: stored[: 16 + 2 * STORED_CHUNK],
    "the first chunk is missing": lambda stored: stored[:16] + stored[16 + STORED_CHUNK :],
    "a byte more": lambda stored: stored + b"\0",
    "a chunk twice": lambda stored: stored[: 16 + STORED_CHUNK] + stored[16:],
    "chunks are exchanged": lambda stored: (
        stored[:16]
        + stored[16 + STORED_CHUNK : 16 + 2 * STORED_CHUNK]
        + stored[16 : 16 + STORED_CHUNK]
        + stored[16 + 2 * STORED_CHUNK :]
    ),
    "the salt of another file": lambda stored: sealed(b"x")[:16] + stored[16:],
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_what_was_altered_is_not_decrypted(what: str) -> None:
    """One sentence with the file's name."""
    stored = sealed(random.Random(3).randbytes(SIZE))
    with pytest.raises(EntryError, match=r"^/the/file cannot be decrypted: it was altered, or"):
        opened(ALTERATIONS[what](stored))


@pytest.mark.parametrize("place", [0, 15, 16, 17, STORED_CHUNK + 15, STORED_CHUNK + 16, -16, -1])
def test_a_byte_that_was_altered_is_noticed(place: int) -> None:
    """Of the salt, of a chunk, of its tag."""
    stored = bytearray(sealed(random.Random(4).randbytes(SIZE)))
    stored[place] ^= 1
    with pytest.raises(EntryError, match="cannot be decrypted"):
        opened(bytes(stored))


def test_another_key_does_not_decrypt() -> None:
    """And has another name in manifests."""
    with pytest.raises(EntryError, match="encrypted with another key"):
        opened(sealed(b"x"), OTHER)
    assert Sealed(KEY).key_id != Sealed(OTHER).key_id
    assert KEY not in Sealed(KEY).key_id


@pytest.mark.parametrize("text", ["", "x", KEY[:-4], KEY + "AAAA", "é" * 44, KEY[:-1] + "*"])
def test_a_key_that_is_none_is_refused(text: str) -> None:
    """With the command that makes one, and without the key."""
    with pytest.raises(EntryError, match="openssl rand -base64 32") as told:
        Sealed(text)
    assert not text or text not in str(told.value)


# Manifests.


def a_manifest(identifier: str = "000001-20260101T000000Z", **changes: Any) -> manifest.Manifest:
    """Return a manifest."""
    table = TableFile(manifest.table_file(identifier, "runs"), ["a"], 1, "0" * 32, 9, "1" * 64)
    values: dict[str, Any] = dict.fromkeys(manifest.Manifest._fields, "") | {
        "id": identifier, "project": "demo", "created": 5, "engine": "sqlite",
        "tables": {"runs": table}, "objects": 0, "object_bytes": 0, "stored_bytes": 9,
    }  # fmt: skip
    return manifest.Manifest(**(values | changes))


def test_a_manifest_comes_back() -> None:
    """Whole, in any layout."""
    made = a_manifest(artifacts="/a/Wein 🍇\udc80")
    assert manifest.load(manifest.dump(made), "/m") == made
    compact = json.dumps(json.loads(manifest.dump(made))).encode()
    assert manifest.load(compact, "/m") == made


def test_every_byte_of_a_manifest_counts() -> None:
    """Unless it is one between values: changed or cut, it is refused, or says the same."""
    made = a_manifest()
    data = manifest.dump(made)
    for place in range(len(data)):
        altered = bytes([*data[:place], data[place] ^ 1, *data[place + 1 :]])
        for one in (altered, data[:place]):
            found = made
            with contextlib.suppress(EntryError):
                found = manifest.load(one, "/m")
            assert found == made
    for one in (b"", b"[]", b"{}", b"7", b'{"sha256": "", "format": 1}', data[:-3]):
        with pytest.raises(EntryError, match=r"^/m was altered or cut short"):
            manifest.load(one, "/m")


def test_a_manifest_of_a_newer_release_is_told() -> None:
    """Before its content is looked at."""
    content = {"format": manifest.FORMAT + 1, "sha256": "x", "tables": []}
    with pytest.raises(EntryError, match=r"^/m has the format 2, and this release reads 1 at most"):
        manifest.load(json.dumps(content).encode(), "/m")


def test_the_next_id_is_the_highest_whatever_the_clock_says() -> None:
    """By its number."""
    made: list[str] = []
    for now in (2e9, 1e9, 3e9, 0, 1e9):
        made.append(manifest.new_id(made, now))
    assert [manifest.sequence(name) for name in made] == [1, 2, 3, 4, 5]
    assert all(map(manifest.is_id, made))
    assert manifest.sequence(manifest.new_id(["999999-20260101T000000Z"], 0)) == 1_000_000
    assert not any(
        map(manifest.is_id, ("", "x", "1-20260101T000000Z", made[0] + "x", "../" + made[0]))
    )


# Retention.


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a place without backups."""
    return Repository(Folder(tmp_path / "r"), Plain())


def make_backup(
    repository: Repository, number: int, *shared: str, age: float = 0, table: str = ""
) -> str:
    """Make a backup with an artifact of its own and shared ones; returns its ID."""
    identifier = f"{number:06d}-20260101T000000Z"
    stored = [f"objects/aa/{name}" for name in (f"own-{number}", *shared)]
    for name in stored:
        repository.place.write(name, [b"x"])
    lines = [json.dumps(StoredObject(name, 1, "v", "h", name, 1, "v")).encode() for name in stored]
    listing = repository.write_lines(f"backups/{identifier}/{manifest.OBJECTS}", [lines])
    path = table or manifest.table_file(identifier, "runs")
    if not table:
        repository.place.write(path, [b"rows"])
    made = a_manifest(
        identifier,
        created=int(1e9 - age),
        tables={"runs": TableFile(path, ["a"], 1, "", 4, "")},
        objects_sha256=listing.digest(),
        key_id=repository.codec.key_id,
        objects=len(stored),
    )
    repository.place.write(f"backups/{identifier}/{manifest.MANIFEST}", [manifest.dump(made)])
    return identifier


def stored(repository: Repository, below: str) -> list[str]:
    """Return the names of what is stored."""
    return [entry.path.rpartition("/")[2] for entry in repository.place.entries(below)]


def test_retention_by_number_keeps_what_is_shared(repository: Repository) -> None:
    """An artifact and a table that a newer backup names stay."""
    first = make_backup(repository, 1, "shared")
    table = manifest.table_file(first, "runs")
    names = [first, *(make_backup(repository, number, "shared", table=table) for number in (2, 3))]
    pruned = repository.prune(2, 0, 1e9)
    assert pruned == ([first], 1)
    assert repository.complete() == repository.ids() == names[1:]
    assert stored(repository, "objects/") == ["own-2", "own-3", "shared"]
    assert stored(repository, "tables/") == ["runs.jsonl.gz"]
    assert repository.prune(2, 0, 1e9) == ([], 0)
    assert repository.prune(1, 0, 1e9) == (names[1:2], 1)
    assert stored(repository, "objects/") == ["own-3", "shared"]
    assert repository.prune(0, 0, 1e9) == ([], 0)


def test_retention_by_age_keeps_young_ones_and_so_many(repository: Repository) -> None:
    """Those of a clock that was ahead are young."""
    ages = [9 * DAY, -5 * DAY, 8 * DAY, 3 * DAY, 8 * DAY]
    names = [make_backup(repository, number, age=age) for number, age in enumerate(ages, 1)]
    assert repository.prune(1, 7, 1e9).backups == [names[0], names[2]]
    # However old, the newest one stays.
    assert repository.prune(1, 7, 2e9).backups == [names[1], names[3]]
    assert repository.complete() == [names[4]]


def test_what_was_broken_off_is_removed(repository: Repository) -> None:
    """A table of a backup of which nothing else is there, a backup without manifest, and half a file."""
    place = repository.place
    place.write("tables/000001-20260101T000000Z/runs.jsonl.gz", [b"x"])
    assert repository.begun() == ["000001-20260101T000000Z"]
    name = make_backup(repository, 2)
    assert isinstance(place, Folder)
    (place.root / "objects" / "aa" / f"{places._NEW}1-1").write_bytes(b"x")
    assert repository.prune(0, 0, 1e9).files == 1
    assert not list(place.root.rglob(f"{places._NEW}*"))
    place.write("backups/000001-20260101T000000Z/objects.jsonl.gz", [b"x"])
    place.write("objects/bb/left", [b"x"])
    assert repository.prune(0, 0, 1e9) == (["000001-20260101T000000Z"], 1)
    assert repository.ids() == [name]
    assert stored(repository, "objects/") == ["own-2"]


def test_retention_goes_on_after_a_change_of_the_key(tmp_path: Path) -> None:
    """What a backup with the former key needs stays until that is gone."""
    place = Folder(tmp_path / "r")
    one, two = Repository(place, Sealed(KEY)), Repository(place, Sealed(OTHER))
    names = [make_backup(one, 1), make_backup(one, 2), make_backup(two, 3), make_backup(two, 4)]
    assert two.prune(3, 0, 1e9).backups == names[:1]
    assert stored(two, "objects/") == ["own-1", "own-2", "own-3", "own-4"]
    assert len(stored(two, "tables/")) == 3
    assert two.prune(2, 0, 1e9).backups == names[1:2]
    assert stored(two, "objects/") == ["own-3", "own-4"]


def test_nothing_is_removed_if_a_manifest_cannot_be_read(repository: Repository) -> None:
    """It may need anything."""
    names = [make_backup(repository, number) for number in (1, 2, 3)]
    repository.place.write(f"backups/{names[1]}/{manifest.MANIFEST}", [b"{}"])
    with pytest.raises(EntryError, match="was altered or cut short"):
        repository.prune(1, 0, 1e9)
    assert repository.complete() == names
    assert len(stored(repository, "objects/")) == 3


def test_a_newest_backup_that_was_altered_does_not_stop_the_next(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is taken from it."""
    name = make_backup(repository, 1)
    found = backup._newest(repository)
    assert found
    assert list(backup._known(repository, found)) == []
    repository.place.write(f"backups/{name}/{manifest.OBJECTS}", [b"x"])
    assert backup._known(repository, found) == {}
    assert "All artifacts are copied." in capsys.readouterr().err
    # Its table is not what it says.
    assert not backup._are_stored(repository, found.tables.values())
    repository.place.write(f"backups/{name}/{manifest.MANIFEST}", [b"x"])
    assert backup._newest(repository) is None
    assert "This one is made as a whole." in capsys.readouterr().err


# Places.


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return an empty folder."""
    (tmp_path / "f").mkdir()
    return Folder(tmp_path / "f")


ODD_NAMES = [
    "a b", "Wein 🍇", "50%", "%2e", "a\nb", "a\tb", "'\"\\", "-rf", ".hidden", ".new-1", "x" * 255,
    "*?[", "a\u2028", "con:", "~", "$HOME", "é", "e\u0301", os.fsdecode(b"\xff\xfe"),
]  # fmt: skip


def test_odd_names_and_empty_files(folder: Folder, tmp_path: Path) -> None:
    """All are listed, read, and written elsewhere as they are."""
    deep = "/".join(["d" * 200] * 8)
    for number, name in enumerate(ODD_NAMES):
        for path in (name, f"{deep}/{name}"):
            folder.write(path, [b"x" * number])
    found = {entry.path: entry.size for entry in folder.entries()}
    expected = {name: number for number, name in enumerate(ODD_NAMES)}
    assert found == expected | {f"{deep}/{name}": size for name, size in expected.items()}
    other = Folder(tmp_path / "other")
    for path in found:
        other.write(path, folder.read(path))
    assert {entry.path: entry.size for entry in other.entries()} == found


def test_links_are_followed_as_mlflow_does(folder: Folder, tmp_path: Path) -> None:
    """To files and folders elsewhere, and not in circles; a broken one is nothing."""
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "model").write_text("m")
    folder.write("1/a", [b"x"])
    (folder.root / "2").symlink_to(tmp_path / "elsewhere")
    (folder.root / "1" / "up").symlink_to(folder.root)
    (folder.root / "file").symlink_to(tmp_path / "elsewhere" / "deep" / "model")
    (folder.root / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "elsewhere" / "back").symlink_to(folder.root)
    (tmp_path / "elsewhere" / "deep" / "self").symlink_to(tmp_path / "elsewhere" / "deep")
    paths = sorted(entry.path for entry in folder.entries())
    assert paths == ["1/a", "2/deep/model", "file"]
    assert b"".join(folder.read("2/deep/model")) == b"m"


def test_a_file_that_is_gone_is_told_apart(folder: Folder) -> None:
    """From one that may not be read."""
    with pytest.raises(places.GoneError, match="is not there any more"):
        list(folder.read("x"))


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/../b", "./a", "a/", ""])
def test_a_path_that_leads_elsewhere_is_refused(folder: Folder, path: str) -> None:
    """Keys of a bucket may be such."""
    with pytest.raises(EntryError, match=r"^The artifact .* cannot be a file below "):
        folder.write(path, [b"x"])
    assert list(folder.entries()) == []


def test_what_is_written_appears_whole_or_not_at_all(folder: Folder) -> None:
    """An error on the way leaves the former content, and nothing else."""
    folder.write("a", [b"before"])

    def broken() -> Iterator[bytes]:
        yield b"after"
        assert (folder.root / "a").read_bytes() == b"before"
        assert [entry.path for entry in folder.entries()] == ["a"]
        raise EntryError("broken")

    with pytest.raises(EntryError, match="broken"):
        folder.write("a", broken())
    assert (folder.root / "a").read_bytes() == b"before"
    assert len(list(folder.root.iterdir())) == 1


def test_what_is_deleted_takes_empty_folders_along(folder: Folder) -> None:
    """But not the place itself, and what is not there is none the worse."""
    for path in ("a/b/c/1", "a/b/2", "a/3"):
        folder.write(path, [b"x"])
    folder.delete(["a/b/c/1", "a/b/2", "a/x/none"])
    assert [path.name for path in folder.root.rglob("*")] == ["a", "3"]
    folder.delete(["a/3"])
    assert folder.root.is_dir()
    folder.write("a/b/c/1", [b"x"])


def test_long_lines_come_back(repository: Repository) -> None:
    """A line may be empty, or longer than what is read at once."""
    lines = [b"", b"x" * (2 * places.CHUNK_BYTES), b"", *[b"y" * 1000] * 2000, b"z"]
    written = repository.write_lines("table", [lines[:2], lines[2:]])
    assert list(repository.read_lines("table", written.digest())) == lines
    repository.check_lines("table", written.digest(), len(lines))


# Locations.


@pytest.mark.parametrize(
    ("text", "target", "moved"),
    [
        ("/old", "/new", "/new"),
        ("/old/1/a", "/new", "/new/1/a"),
        ("file:///old/1", "/new", "file:///new/1"),
        ("file:///old/1", "s3://b/p", "s3://b/p/1"),
        ("/old/1", "s3://b/p", "s3://b/p/1"),
        ("/older/1", "/new", "/older/1"),
        ("mlflow-artifacts:/1", "/new", "mlflow-artifacts:/1"),
        ("x/old/1", "/new", "x/old/1"),
        (None, "/new", None),
        (7, "/new", 7),
    ],
)
def test_locations_follow_a_move(text: Any, target: str, moved: Any) -> None:
    """Of those below the former place, whole names only."""
    table = Table("runs", ("run_uuid", "artifact_uri"), (PLAIN, PLAIN), ())
    rows = [["/old", text]]
    assert relocation.relocated(table, rows, "/old", target) == (text != moved)
    assert rows == [["/old", moved]]


def test_locations_of_buckets_and_of_tags_follow_too() -> None:
    """Of tags those that are locations."""
    table = Table("trace_tags", ("key", "value", "request_id"), (PLAIN,) * 3, ())
    rows = [[key, "s3://b/p/1", "t"] for key in ("mlflow.artifactLocation", "note")]
    assert relocation.relocated(table, rows, "s3://b/p", "/new") == 1
    assert [row[1] for row in rows] == ["/new/1", "s3://b/p/1"]
    assert relocation.relocated(table, rows, "/new", "/new") == 0
    assert relocation.relocated(table._replace(name="params"), rows, "/new", "/x") == 0


def test_a_root_that_holds_something_is_preferred(tmp_path: Path) -> None:
    """A folder of files has an empty folder where the artifacts are not."""
    usual = "1/run/artifacts"
    roots = [tmp_path / "mlruns", tmp_path / "artifacts"]
    for root in roots:
        (root / usual).mkdir(parents=True)
    origin = arrival.Stored("", [str(root) for root in roots], client=lambda: None)
    gone = ("s3://gone/1/run/artifacts", usual)
    with pytest.raises(EntryError, match="are outside of the source"):
        origin.require([gone])
    (roots[1] / usual / "model").write_text("m")
    origin.require([gone])
    place = origin.place(*gone)
    assert place
    assert place.text() == str(roots[1] / usual)


# Several at once.


@pytest.mark.parametrize("workers", [1, 4])
def test_all_is_done_once_and_not_all_is_held(workers: int) -> None:
    """However slow those are that take it."""
    taken = []

    def items() -> Iterator[int]:
        for number in range(1, 201):
            taken.append(number)
            yield number

    seen = []
    for result in parallel.each(workers, lambda number: number * 2, items()):
        seen.append(result)
        assert len(taken) - len(seen) <= workers * parallel._WAITING
    assert sorted(seen) == [2 * number for number in range(1, 201)]
    assert list(parallel.each(workers, str, [])) == []


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("where", ["work", "items"])
def test_the_first_error_ends_it(workers: int, where: str) -> None:
    """No thread stays, and what waits is not begun."""
    done = []

    def work(number: int) -> None:
        if where == "work" and number == 5:
            raise EntryError("five")
        time.sleep(0.001)
        done.append(number)

    def items() -> Iterator[int]:
        for number in range(1000):
            if where == "items" and number == 5:
                raise EntryError("five")
            yield number

    before = threading.active_count()
    with pytest.raises(EntryError, match="five"):
        list(parallel.each(workers, work, items()))
    assert threading.active_count() == before
    assert len(done) < 100


# SQLite files.


def database(path: Path, mode: str = "delete") -> SqliteDatabase:
    """Make an SQLite file with a table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        connection.execute("INSERT INTO t VALUES (1, 'x')")
        connection.commit()
    return SqliteDatabase(path)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_two_verbs_read_one_file(mode: str, tmp_path: Path) -> None:
    """The copy of one is not taken away by the other; that of a killed run is."""
    made = database(tmp_path / "mlflow.db", mode)
    left = tmp_path / ".mlflow.db.copy-left"
    left.mkdir()
    (left / "mlflow.db").write_text("x")
    with made.snapshot() as one:
        assert not left.exists()
        with made.snapshot() as other:
            assert other.value("SELECT b FROM t") == "x"
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
            connection.execute("INSERT INTO t VALUES (2, 'y')")
            connection.commit()
        assert one.value("SELECT COUNT(*) FROM t") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_reading_makes_no_file(tmp_path: Path) -> None:
    """SQLite would make an empty one."""
    path = tmp_path / "mlflow.db"
    for opened in (SqliteDatabase(path).glance, SqliteDatabase(path).snapshot):
        with pytest.raises(EntryError, match="cannot be opened"), opened():
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_journal_that_a_killed_server_left_stays_with_its_file(mode: str, tmp_path: Path) -> None:
    """SQLite would write it into what takes the file's place."""
    made = database(tmp_path / "mlflow.db", mode)
    pid = os.fork()
    if pid == 0:
        connection = sqlite3.connect(made.path, isolation_level=None)
        connection.execute("PRAGMA cache_size = 2")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?)", [(n, "z" * 999) for n in range(2, 500)]
        )
        if mode == "wal":
            connection.execute("COMMIT")
        os._exit(0)
    os.waitpid(pid, 0)
    journal = tmp_path / f"mlflow.db-{'wal' if mode == 'wal' else 'journal'}"
    assert journal.stat().st_size > 0
    new = database(tmp_path / "new.db")
    kept = made.keep(tmp_path / "mlflow.db.bak")
    os.replace(new.path, made.path)
    rows = []
    for path in (kept, made.path):
        with SqliteDatabase(path).glance() as found:
            assert found.value("PRAGMA integrity_check") == "ok"
            rows.append(found.value("SELECT COUNT(*) FROM t"))
    assert rows == [499 if mode == "wal" else 1, 1]
    assert made.keep(kept).name == "mlflow.db-1.bak"


def test_a_damaged_file_is_kept_without_leaving_a_journal(tmp_path: Path) -> None:
    """As it is."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"no database" * 99)
    Path(f"{path}-journal").write_bytes(b"journal")
    kept = SqliteDatabase(path).keep(tmp_path / "mlflow.db.bak")
    assert kept.read_bytes() == b"no database" * 99
    assert not Path(f"{path}-journal").exists()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_version_changes_with_each_write(mode: str, tmp_path: Path) -> None:
    """And is not known while a write is not in the file itself."""
    made = database(tmp_path / "mlflow.db", mode)
    versions = [made.version()]
    with closing(sqlite3.connect(made.path)) as connection:
        for number in range(2, 5):
            connection.execute("INSERT INTO t VALUES (?, 'y')", (number,))
            connection.commit()
            versions.append(made.version())
    known = [version for version in versions if version]
    assert len(set(known)) == len(known) == (1 if mode == "wal" else 4)
    assert made.version() not in known[:-1]


def test_a_lock_names_its_holder(tmp_path: Path) -> None:
    """And ends with it, however it ends."""
    lock = tmp_path / ".data.lock"
    for _time in range(2):
        with (
            projects._file_lock(lock, "demo", "backup"),
            pytest.raises(
                EntryError,
                match=rf"^Project 'demo' is in use \(backup by .*, process {os.getpid()}, since ",
            ),
            projects._file_lock(lock, "demo", "restore"),
        ):
            pass
    with pytest.raises(EntryError, match="broken"), projects._file_lock(lock, "demo", "backup"):
        raise EntryError("broken")
    lock.write_text("{")
    with projects._file_lock(lock, "demo", "restore"):
        assert json.loads(lock.read_text())["verb"] == "restore"
    assert lock.read_text() == ""
    with (
        pytest.raises(EntryError, match="has no folder"),
        projects._file_lock(tmp_path / "x" / "lock", "demo", "backup"),
    ):
        pass
