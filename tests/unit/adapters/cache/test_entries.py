"""The bytes of people that were found: exactly the same people come back, and from anything else an error."""

import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adapters.cache.entries import (
    MAX_ENTRY_BYTES,
    MAX_PEOPLE,
    EntryError,
    FoundPeople,
    decode,
    encode,
    entry_name,
    picture_digest,
    prompt_box,
)
from tests.support.cached_people import somebody
from wholebody.person import Person

NUMBERS = st.floats(width=32)  # NaN and infinities too: what is sent of them is decided elsewhere
PEOPLE = st.builds(
    Person,
    box=arrays(np.float32, 4, elements=NUMBERS),
    box_score=st.floats(0, 1, width=32),
    keypoints=arrays(np.float32, (133, 2), elements=NUMBERS),
    scores=arrays(np.float32, 133, elements=NUMBERS),
)
FOUND = st.builds(
    FoundPeople,
    people=st.lists(PEOPLE, max_size=3).map(tuple),
    size=st.tuples(st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)),
)


def two_people() -> FoundPeople:
    return FoundPeople((somebody(1), somebody(2)), (640, 480))


def forged(count: int, size: tuple[int, int], body: bytes) -> bytes:
    """An entry with a right checksum, whatever it says."""
    rest = struct.pack("<III", *size, count) + body
    return b"rwbp" + struct.pack("<I", zlib.crc32(rest)) + rest


class TestRoundTrip:
    @given(FOUND)
    def test_the_same_numbers_come_back_to_the_last_bit(self, found: FoundPeople) -> None:
        back = decode(encode(found))

        assert back.size == found.size
        assert len(back.people) == len(found.people)
        for before, after in zip(found.people, back.people, strict=True):
            assert after.box.tobytes() == before.box.tobytes()
            assert after.box_score == before.box_score
            assert after.keypoints.tobytes() == before.keypoints.tobytes()
            assert after.scores.tobytes() == before.scores.tobytes()
            assert {array.dtype for array in (after.box, after.keypoints, after.scores)} == {np.dtype("<f4")}

    def test_what_comes_back_cannot_be_changed_for_the_next_one_who_asks(self) -> None:
        (person,) = decode(encode(FoundPeople((somebody(),), (10, 10)))).people

        with pytest.raises(ValueError, match="read-only"):
            person.keypoints[0, 0] = 1

    def test_nobody_takes_thirty_bytes(self) -> None:
        assert len(encode(FoundPeople((), (640, 480)))) <= 30

    def test_as_many_as_are_kept_fit_into_the_longest_entry(self) -> None:
        crowd = FoundPeople(tuple(somebody(seed) for seed in range(MAX_PEOPLE)), (640, 480))

        assert len(encode(crowd)) <= MAX_ENTRY_BYTES
        assert len(decode(encode(crowd)).people) == MAX_PEOPLE


class TestGarbage:
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_are_no_entry(self, data: bytes) -> None:
        with pytest.raises(EntryError):
            decode(data)

    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_with_the_right_beginning_and_checksum_are_none(self, body: bytes) -> None:
        with pytest.raises(EntryError):
            decode(forged(2, (640, 480), body))

    def test_every_changed_byte_is_noticed(self) -> None:
        entry = encode(two_people())
        for position in range(len(entry)):
            changed = bytearray(entry)
            changed[position] ^= 1 << random.Random(position).randrange(8)
            with pytest.raises(EntryError):
                decode(bytes(changed))

    def test_every_truncation_is_noticed(self) -> None:
        entry = encode(two_people())
        for length in range(len(entry)):
            with pytest.raises(EntryError):
                decode(entry[:length])

    @pytest.mark.parametrize(
        ("count", "size", "body"),
        [
            (1, (640, 480), zlib.compress(bytes(1616 - 4))),
            (1, (640, 480), zlib.compress(bytes(1616 + 4))),
            (1, (640, 480), zlib.compress(bytes(1616)) + b"more"),
            (1, (640, 480), zlib.compress(bytes(1616))[:-4]),
            (0, (0, 480), zlib.compress(b"")),
            (0, (640, 0), zlib.compress(b"")),
            (MAX_PEOPLE + 1, (640, 480), zlib.compress(bytes(1616 * (MAX_PEOPLE + 1)))),
        ],
    )
    def test_lengths_that_do_not_fit_together_are_noticed(
        self, count: int, size: tuple[int, int], body: bytes
    ) -> None:
        assert decode(forged(1, (640, 480), zlib.compress(bytes(1616)))).size == (640, 480)
        with pytest.raises(EntryError):
            decode(forged(count, size, body))

    def test_what_would_unfold_to_a_gigabyte_is_not_unfolded(self) -> None:
        bomb = zlib.compressobj(9)
        body = b"".join(bomb.compress(bytes(2**20)) for _ in range(1024)) + bomb.flush()

        with pytest.raises(EntryError, match="length"):
            decode(forged(1, (640, 480), body))


class TestNames:
    def test_a_name_says_format_picture_version_and_prompt(self) -> None:
        digest = picture_digest(b"picture")

        assert digest == "2cea274d0bedc39ec4ab6ba9e59ec889e3ed6fb56a1cf088a64d9b383378dc97"
        assert (
            entry_name(digest, "rtmlib-balanced-1a2b3c4d", None)
            == f"rtmlib:1:{{{digest}}}:rtmlib-balanced-1a2b3c4d:whole"
        )
        assert entry_name(digest, "v", (1, 2, 30, 40)).endswith(":v:1,2,30,40")

    def test_another_picture_version_or_box_is_another_entry(self) -> None:
        names = {
            entry_name(picture_digest(picture), version, box)
            for picture in (b"a", b"b")
            for version in ("v1", "v2")
            for box in (None, (0, 0, 5, 5), (0, 0, 5, 6))
        }

        assert len(names) == 12

    def test_all_entries_of_one_picture_are_in_one_slot_of_a_cluster(self) -> None:
        names = [entry_name("d", "v", None), entry_name("d", "v", (1, 2, 3, 4)), entry_name("d", "w", None)]

        assert {name[name.index("{") + 1 : name.index("}")] for name in names} == {"d"}

    def test_a_box_is_rounded_to_whole_pixels(self) -> None:
        assert prompt_box(1.4, 2.6, 10.000001, 19.999999) == (1, 3, 10, 20)

    def test_a_thin_box_stays_a_box(self) -> None:
        assert prompt_box(5.1, 5.2, 5.3, 5.4) == (5, 5, 6, 6)
