"""Questions about pictures: the same on every machine, answerable, and one answer each."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd.tasks import BadOptionError, UnknownDatasetError
from swarmd.tasks.imaging import images_for
from swarmd.tasks.pictures import Pictures
from swarmd.tasks.pictures.source import DATASETS, PictureTask

seeds = st.integers(0, 2**32 - 1)
names = st.sampled_from(sorted(DATASETS))


def task(name: str) -> PictureTask:
    return Pictures().build(name, {})


@given(names, seeds)
@settings(max_examples=60)
def test_the_expected_answer_alone_is_right(name: str, seed: int) -> None:
    made = task(name)
    _, entry = made.question(seed, 0)
    right = made.expected(entry)
    assert made.score(right, entry) == 1.0
    assert made.admits(right, entry)
    assert made.is_bare(right, entry)
    assert made.score(f"{right}x", entry) == 0.0


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_no_answer_is_right_for_most_questions(name: str) -> None:
    made = task(name)
    answers = Counter(made.question(seed, 0)[1].answer for seed in range(100))
    assert len(answers) >= 4
    assert max(answers.values()) <= 50


def test_the_pixels_of_the_first_questions_are_known() -> None:
    """They are part of the questions' digests: whoever changes them changes the source's version, too."""
    whole = hashlib.sha256()
    for name in sorted(DATASETS):
        made = task(name)
        for seed in range(4):
            text, entry = made.question(seed, 0)
            whole.update(text.encode())
            for image in images_for(made, entry):
                whole.update(image.digest)
    assert (Pictures.version, whole.hexdigest()[:16]) == ("1", "be337fc607f9d709")


def test_a_video_has_four_frames_that_are_not_all_the_same() -> None:
    made = task("frames")
    for seed in range(20):
        frames = images_for(made, made.question(seed, 0)[1])
        assert len(frames) == 4
        assert frames[0] != frames[-1]


def test_one_quarter_alone_differs() -> None:
    made = task("odd")
    for seed in range(20):
        _, entry = made.question(seed, 0)
        [pixels] = entry.pictures
        quarters = [pixels[top : top + 16, left : left + 16].tobytes() for top in (0, 16) for left in (0, 16)]
        [odd] = [quarter for quarter, times in Counter(quarters).items() if times == 1]
        assert str(quarters.index(odd) + 1) == entry.answer


def test_an_unknown_dataset_and_an_option_are_named() -> None:
    with pytest.raises(UnknownDatasetError, match="'photos'"):
        Pictures().build("photos", {})
    with pytest.raises(BadOptionError, match="'size'"):
        Pictures().build("count", {"size": 64})
