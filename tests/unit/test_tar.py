"""Archives in pieces of any size: what is in them, and what is refused."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milvus_backup_server.domain.archive_parser import ArchiveParser
from milvus_backup_server.domain.errors import ArchiveInvalid
from milvus_backup_server.domain.tar import END, TarEntry, encode_header, padding
from tests.support.tars import entry, files_of, gzipped, packed, tar_of

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
SHORT = st.text("abc/._-é", min_size=1, max_size=20).filter(lambda it: it.strip("/"))
FILES = st.dictionaries(SHORT.map(lambda it: f"x{it}x"), st.binary(max_size=2000), max_size=5)


def parsed(data: bytes, sizes: Iterable[int] = ()) -> list[tuple[TarEntry, bytes]]:
    """Parse an archive that comes in pieces of these sizes, the last one repeated."""
    parser, found, position = ArchiveParser(), list[tuple[TarEntry, bytes]](), 0
    size, wanted = len(data) or 1, iter(sizes)
    while position < len(data):
        size = next(wanted, size)
        for event in parser.feed(data[position : position + size]):
            if isinstance(event, TarEntry):
                found.append((event, b""))
            elif event:
                found[-1] = (found[-1][0], found[-1][1] + event)
        position += size
    parser.close()
    return found


def refusal(data: bytes) -> str:
    with pytest.raises(ArchiveInvalid) as caught:
        parsed(data)
    assert caught.value.reason == "ARCHIVE_INVALID"
    return caught.value.message


# --- reading


@given(
    FILES,
    st.lists(st.integers(1, 700), min_size=1, max_size=20),
    st.sampled_from(FORMATS),
    st.booleans(),
)
def test_the_pieces_an_archive_comes_in_do_not_matter(
    files: dict[str, bytes], sizes: list[int], format_: int, zipped: bool
) -> None:
    made = packed(((entry(path, len(data)), data) for path, data in files.items()), format_=format_)
    found = parsed(gzipped(made) if zipped else made, sizes)
    assert found == [(TarEntry(path, len(data)), data) for path, data in files.items()]


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["d/" * 60 + "f", "x" * 300, "größe/名"])
def test_long_and_foreign_names(name: str, format_: int) -> None:
    made = packed([(entry(name, 3), b"abc"), (entry("y", 1), b"z")], format_=format_)
    assert parsed(made, [100]) == [(TarEntry(name, 3), b"abc"), (TarEntry("y", 1), b"z")]


def test_names_split_over_two_fields() -> None:
    name = "p" * 150 + "/" + "n" * 99
    made = packed([(entry(name, 1), b"a")], format_=tarfile.USTAR_FORMAT)
    assert parsed(made) == [(TarEntry(name, 1), b"a")]


def test_directories_and_empty_files() -> None:
    made = packed([(entry("d", type_=tarfile.DIRTYPE), b""), (entry("d/e"), b"")])
    assert parsed(made) == [(TarEntry("d", 0, is_directory=True), b""), (TarEntry("d/e", 0), b"")]


def test_a_directory_as_tar_of_version_7_marks_it() -> None:
    info = entry("d/", type_=tarfile.AREGTYPE)
    assert parsed(packed([(info, b"")], format_=tarfile.USTAR_FORMAT)) == [
        (TarEntry("d", 0, is_directory=True), b"")
    ]


def test_a_size_in_an_extended_header_is_the_one_that_counts() -> None:
    real = b"0123456789" * 100
    info = entry("f", 1)
    info.pax_headers = {"size": str(len(real))}
    header = info.tobuf(tarfile.PAX_FORMAT)
    made = header + real + bytes(padding(len(real))) + tar_of({"g": b"after"})
    assert parsed(made) == [(TarEntry("f", len(real)), real), (TarEntry("g", 5), b"after")]


def test_a_comment_for_all_entries_is_passed_over() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", pax_headers={"comment": "of git archive"}) as archive:
        archive.addfile(entry("f", 1), io.BytesIO(b"x"))
    assert parsed(made.getvalue()) == [(TarEntry("f", 1), b"x")]


def test_gzip_of_several_members_and_with_padding() -> None:
    made = tar_of({"f": b"x" * 5000})
    half = len(made) // 2
    data = gzip.compress(made[:half]) + gzip.compress(made[half:]) + bytes(512)
    assert parsed(data, [7]) == [(TarEntry("f", 5000), b"x" * 5000)]


def test_what_unpacks_into_much_comes_in_small_pieces() -> None:
    size = 64 << 20
    parser = ArchiveParser()
    data = gzip.compress(encode_header("f", size, 0) + bytes(size) + END, compresslevel=9)
    assert len(data) < 1 << 17
    pieces = [len(event) for event in parser.feed(data) if isinstance(event, bytes)]
    parser.close()
    assert sum(pieces) == size
    assert max(pieces) <= 256 * 1024


@pytest.mark.parametrize("size", [1 << 20, 8 << 20])
def test_what_unpacks_into_nothing_of_an_entry_still_lets_others_work(size: int) -> None:
    parser = ArchiveParser()
    data = gzip.compress(encode_header("f", 0, 0) + bytes(size), compresslevel=9)
    assert len(data) < 1 << 14
    events = list(parser.feed(data))
    assert [event for event in events if event] == [TarEntry("f", 0)]
    assert events.count(b"") >= size // (256 * 1024)


def test_what_comes_in_large_pieces_lets_others_work() -> None:
    assert list(ArchiveParser().feed(MADE[:2560] + bytes(1 << 20))).count(b"") >= 16


def test_as_many_records_as_writers_need_are_taken() -> None:
    info = entry("f", 1)
    info.pax_headers = {f"SCHILY.xattr.user.{n}": "v" for n in range(998)} | {"path": "p"}
    made = info.tobuf(tarfile.PAX_FORMAT) + b"x" + bytes(511) + END
    assert parsed(made) == [(TarEntry("p", 1), b"x")]


# --- writing


@given(FILES, st.integers(0, 2**33))
def test_what_is_written_is_read_by_others(files: dict[str, bytes], mtime: int) -> None:
    made = b"".join(
        encode_header(path, len(data), mtime) + data + bytes(padding(len(data)))
        for path, data in files.items()
    )
    assert files_of(made + END) == files
    with tarfile.open(fileobj=io.BytesIO(made + END)) as archive:
        for member in archive:
            assert (member.mtime, member.mode, member.isfile()) == (mtime, 0o644, True)


def test_headers_of_keys_as_backups_have_them_take_one_block() -> None:
    number = "470638483125331022"
    path = f"{'n' * 128}/binlogs/insert_log/{number}/{number}/{number}/{number}/100/{number}"
    assert len(encode_header(path, 1 << 30, 1_800_000_000)) == 512


def test_what_does_not_fit_the_old_fields_is_written_in_extended_ones() -> None:
    size = 9 << 30
    header = encode_header("x" * 200, size, 0)
    parser = ArchiveParser()
    events = [event for event in parser.feed(header) if event]
    assert events == [TarEntry("x" * 200, size)]


# --- refused


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        (tarfile.SYMTYPE, "is a symbolic link"),
        (tarfile.LNKTYPE, "is a hard link"),
        (tarfile.CHRTYPE, "is a character device"),
        (tarfile.BLKTYPE, "is a block device"),
        (tarfile.FIFOTYPE, "is a FIFO"),
        (tarfile.CONTTYPE, "is a contiguous file"),
        (tarfile.GNUTYPE_SPARSE, "is a sparse file"),
        (b"Z", "is of an unknown type"),
    ],
)
def test_only_files_and_directories_are_taken(type_: bytes, words: str) -> None:
    info = entry("b/meta/full_meta.json", type_=type_, link="/etc/passwd")
    text = refusal(info.tobuf(tarfile.USTAR_FORMAT) + END)
    assert text == f"the archive's entry 'b/meta/full_meta.json' {words}; only files are taken"


def test_sparse_files_of_pax_are_refused() -> None:
    info = entry("f", 1)
    info.pax_headers = {"GNU.sparse.major": "1"}
    assert "is a sparse file" in refusal(info.tobuf(tarfile.PAX_FORMAT) + END)


def test_a_directory_with_content_is_refused() -> None:
    info = entry("d", 512, tarfile.DIRTYPE)
    assert "directory with content" in refusal(info.tobuf(tarfile.USTAR_FORMAT) + bytes(512) + END)


CUT_OFF = "the archive ends before its end: it was cut off"
MADE = tar_of({"a/f": b"x" * 1000, "a/g": b"y" * 100})


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("length", [1, 100, 511, 512, 700, 1536, 2048, 2560])
def test_an_archive_that_was_cut_off_is_refused(length: int, zipped: bool) -> None:
    # Its two entries end at 512 + 1024 + 512 + 512 = 2560; there is no end behind them.
    cut = MADE[:length]
    assert refusal(gzipped(cut) if zipped else cut) == CUT_OFF


@pytest.mark.parametrize("part", [1, 2, 10, 50, 90, 99])
def test_a_gzip_that_was_cut_off_is_refused(part: int) -> None:
    whole = gzipped(MADE)
    assert refusal(whole[: len(whole) * part // 100 + 1]) == CUT_OFF


def test_nothing_was_cut_off_at_once() -> None:
    assert refusal(b"") == CUT_OFF


def test_one_block_of_zeros_is_an_end() -> None:
    assert len(parsed(MADE[:2560] + bytes(512))) == 2


def test_a_gzip_that_ends_inside_the_padding_was_cut_off() -> None:
    whole = gzip.compress(MADE)
    assert "cut off" in refusal(whole[:-1])


@pytest.mark.parametrize(
    "more", [b"\1" * 512, MADE, bytes(17 << 20)], ids=["data", "an archive", "zeros"]
)
def test_an_archive_that_goes_on_behind_its_end_is_refused(more: bytes) -> None:
    assert refusal(MADE + more) == "the archive goes on behind its end"


def test_a_gzip_that_goes_on_behind_its_end_is_refused() -> None:
    assert refusal(gzipped(MADE) + bytes(17 << 20)) == "the archive goes on behind its end"


@pytest.mark.parametrize("place", [0, 100, 124, 150, 156, 265])
def test_a_changed_header_is_refused(place: int) -> None:
    damaged = bytearray(MADE)
    damaged[place] ^= 0x55
    assert "checksum is wrong" in refusal(bytes(damaged))


@pytest.mark.parametrize(
    "data", [b"x" * 1000, b"PK\3\4" + bytes(600), b"{}" * 300], ids=["text", "zip", "json"]
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    assert refusal(data) == (
        "this is no tar archive, or it is damaged: a header's checksum is wrong"
    )


@pytest.mark.parametrize("place", [20, 60])
def test_a_damaged_gzip_is_refused(place: int) -> None:
    damaged = bytearray(gzipped(tar_of({"f": bytes(range(256)) * 40})))
    damaged[place] ^= 0xFF
    assert refusal(bytes(damaged)) in {
        "the archive is damaged: it cannot be unpacked",
        "this is no tar archive, or it is damaged: a header's checksum is wrong",
    }


def extended(type_: bytes, data: bytes) -> bytes:
    header = entry("././@PaxHeader", len(data), type_).tobuf(tarfile.USTAR_FORMAT)
    return header + data + bytes(padding(len(data)))


@pytest.mark.parametrize("types", [b"xx", b"xX", b"gg", b"LL", b"KK", b"xgx", b"LKL"])
def test_extended_headers_that_pile_up_are_refused(types: bytes) -> None:
    headers = [extended(bytes([type_]), b"5 a=\n") for type_ in types]
    assert refusal(b"".join(headers) + MADE) == (
        "the archive's entry '././@PaxHeader' is a second extended header of one entry"
    )


def test_one_extended_header_of_each_type_is_taken_for_each_entry() -> None:
    headers = b"".join(extended(bytes([type_]), b"5 a=\n") for type_ in b"gxLK")
    file = encode_header("f", 0, 0)
    assert len(parsed((headers + file) * 2 + END)) == 2


def test_an_extended_header_of_too_many_records_is_refused() -> None:
    text = refusal(extended(b"x", b"5 a=\n" * 1001) + MADE)
    assert text == "the archive has an extended header of more than 1000 records"


@pytest.mark.parametrize(
    "records",
    [b"x", b"5 a=b", b"99 path=x\n", b"0 path=x\n", b"9 pathxx\n", b"-9 path=x\n", b"3 a=bcd\n"],
)
def test_an_extended_header_that_cannot_be_read_is_refused(records: bytes) -> None:
    assert "extended header cannot be read" in refusal(extended(b"x", records) + MADE)


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


@pytest.mark.parametrize("size", [b"-1", b"x", b"9" * 30, b""])
def test_a_size_that_is_none_is_refused(size: bytes) -> None:
    assert "no number" in refusal(extended(b"x", record(b"size", size)) + MADE)


@pytest.mark.parametrize("key", [b"path", b"size"])
def test_a_path_or_size_for_all_entries_is_refused(key: bytes) -> None:
    text = refusal(extended(b"g", record(key, b"1")) + MADE)
    assert text == "the archive gives all its entries one path or size"


@pytest.mark.parametrize("type_", [b"x", b"g", b"L", b"K"])
@pytest.mark.parametrize("size", [0, (1 << 20) + 1])
def test_extended_headers_are_bounded(type_: bytes, size: int) -> None:
    header = entry("././@LongLink", size, type_).tobuf(tarfile.USTAR_FORMAT)
    assert "bytes of extended header; at most 1048576 are taken" in refusal(header + bytes(512))


@pytest.mark.parametrize("size", [-1, 1 << 63, 1 << 80])
def test_a_size_that_no_object_can_have_is_refused(size: int) -> None:
    header = bytearray(entry("f").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (size % (1 << 96)).to_bytes(12, "big")
    header[124] = 0xFF if size < 0 else 0x80
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(struct.unpack("512B", header))
    assert f"has {size} bytes, which no object can have" in refusal(bytes(header))


def test_a_gzip_of_nothing_gives_nothing() -> None:
    parser = ArchiveParser()
    for _ in range(1000):
        assert not any(parser.feed(gzip.compress(b"")))
    with pytest.raises(ArchiveInvalid):
        parser.close()


@given(st.binary(max_size=3000), st.integers(1, 600))
def test_garbage_is_refused_and_nothing_else_happens(data: bytes, size: int) -> None:
    for garbage in (data, b"\x1f\x8b" + data, zlib.compress(data, wbits=31)):
        with contextlib.suppress(ArchiveInvalid):
            assert parsed(garbage, [size]) == []
