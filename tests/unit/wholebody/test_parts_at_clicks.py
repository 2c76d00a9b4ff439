"""The search round a click: with small networks of our own, and with the embedded ones."""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.isolation.processes import IsolatedProcesses
from adapters.pictures.decoding.decode import measure_ordinary
from adapters.pictures.decoding.decoder import PictureDecoder
from adapters.pictures.errors import PictureError
from adapters.prediction.people_in_pictures import FetchedPicture, FindPart, PeopleInPictures
from runners.config import RunnerConfig
from runners.models.store import ModelStore
from runners.pipeline import assemble_in_process
from runners.plan import fetch
from tests.support.part_networks import Networks, settled_hand
from tests.support.predictor import picture_source
from wholebody.estimation import InferenceError, WholeBodyEstimator
from wholebody.person import Person
from wholebody.pipeline import find_people
from wholebody.schema import KEYPOINT_COUNT, PART_RANGES, Part

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]

PHOTOS = Path(__file__).parents[3].parent / "shared" / "photos"
MATCH, RIDER = PHOTOS / "football_demo.jpg", PHOTOS / "coco_000000147979.jpg"

PICTURE = np.zeros((300, 400, 3), np.uint8)
LEFT_ELBOW, LEFT_WRIST = 7, 9


def person(elbow_score: float = 0.9) -> Person:
    """Somebody whose left forearm is 100 pixels long; neither hands nor face were found."""
    keypoints, scores = np.zeros((KEYPOINT_COUNT, 2), np.float32), np.zeros(KEYPOINT_COUNT, np.float32)
    keypoints[[LEFT_ELBOW, LEFT_WRIST]] = [(200, 250), (200, 150)]
    scores[[LEFT_ELBOW, LEFT_WRIST]] = elbow_score
    return Person(np.array((100, 20, 300, 290), np.float32), 0.9, keypoints, scores)


def networks_for(**fields: Any) -> Networks:
    """Networks that are sure of a hand at their first look, unless told otherwise."""
    settled = {"hand_score": lambda _: 0.9, "hand_points": lambda _: settled_hand(), "right": 0.0}
    return Networks(**{**settled, **fields})


class TestWithANetworkForEachPart:
    async def test_a_sure_hand_along_the_forearm_takes_one_look(self) -> None:
        networks = networks_for()
        found = await networks.estimator().part_at(PICTURE, person(), Part.LEFT_HAND, (200, 120), None)
        assert found is not None
        points, scores = found
        assert networks.calls == {"hand": [1]}, "the person is known, so that the body is not looked for"
        assert points.shape == (21, 2)
        assert scores.tolist() == pytest.approx([0.9] * 21)
        assert points.dtype == scores.dtype == np.float32
        assert points[0, 1] > points[9, 1]  # the wrist is towards the elbow
        assert np.linalg.norm(points.mean(axis=0) - (200, 120)) < 20

    async def test_an_unsure_one_is_looked_for_in_all_turns_and_found_all_the_same(self) -> None:
        networks = networks_for(hand_score=lambda _: 0.4)
        found = await networks.estimator().part_at(PICTURE, person(), Part.LEFT_HAND, (200, 120), None)
        assert found is not None
        assert found[1][0] == pytest.approx(0.4)
        assert sum(networks.calls["hand"]) <= 24

    async def test_the_last_squares_are_reached_where_nothing_is_and_the_search_ends(self) -> None:
        networks = networks_for(hand_score=lambda _: 0.01)
        assert await networks.estimator().part_at(PICTURE, None, Part.LEFT_HAND, (200, 120), None) is None
        assert networks.calls["hand"] == [8, 8, 8]

    @pytest.mark.parametrize("right", [0.01, 0.99])
    async def test_the_side_is_the_annotator_s(self, right: float) -> None:
        for part in (Part.LEFT_HAND, Part.RIGHT_HAND):
            found = (
                await networks_for(right=right).estimator().part_at(PICTURE, person(), part, (200, 120), None)
            )
            assert found is not None

    async def test_a_face_is_detected_in_one_batch_and_gets_a_mesh(self) -> None:
        networks = networks_for()
        found = await networks.estimator().part_at(PICTURE, person(), Part.FACE, (200, 60), None)
        assert found is not None
        assert found[0].shape == (68, 2)
        assert found[1].shape == (68,)
        assert networks.calls == {"face": [12], "mesh": [4]}

    async def test_without_a_face_no_mesh_is_laid(self) -> None:
        networks = networks_for(face_found=False)
        assert await networks.estimator().part_at(PICTURE, person(), Part.FACE, (200, 60), None) is None
        assert "mesh" not in networks.calls

    @pytest.mark.parametrize("part", [Part.LEFT_HAND, Part.FACE])
    @pytest.mark.parametrize("reach", [None, 0.0, 5_000.0])
    @pytest.mark.parametrize("point", [(0.0, 0.0), (400.0, 300.0)])
    async def test_the_corners_of_the_picture_can_be_searched(
        self, part: Part, reach: float | None, point: tuple[float, float]
    ) -> None:
        for whom in (person(), person(elbow_score=0), None):
            found = await networks_for().estimator().part_at(PICTURE, whom, part, point, reach)
            assert found is None or np.isfinite(found[0]).all()


class TestWithANetworkForWholePeople:
    async def asked(
        self, score: float, at: tuple[float, float] = (100, 100), whom: Person | None = None
    ) -> tuple[Any, list[int]]:
        batches: list[int] = []

        async def network(crops: Picture) -> list[Floats]:
            batches.append(len(crops))
            seen = np.zeros((KEYPOINT_COUNT, 3), np.float32)
            middle = [(96 + 4 * (i % 5), 128 + 4 * (i // 5), score) for i in range(21)]
            seen[list(PART_RANGES[Part.LEFT_HAND])] = middle
            return [seen] * len(crops)

        estimator = WholeBodyEstimator(network, (192, 256))
        return await estimator.part_at(PICTURE, whom, Part.LEFT_HAND, at, None), batches

    async def test_the_person_and_what_is_round_the_click_are_looked_at_in_one_batch(self) -> None:
        found, batches = await self.asked(0.8, (200, 120), person())
        assert found is not None
        points, scores = found
        assert batches == [2]
        assert points.shape == (21, 2)
        assert scores == pytest.approx(np.full(21, 0.8))
        assert points[0] == pytest.approx((200, 120), abs=1)  # the middle of the box round the click

    async def test_where_nobody_was_found_too(self) -> None:
        assert (await self.asked(0.8))[0] is not None

    async def test_a_doubtful_part_is_none(self) -> None:
        assert (await self.asked(0.2))[0] is None


async def nobody(picture: Picture, boxes: Floats | None) -> list[Person]:
    raise AssertionError("a click on a part needs no other people")


MAX_PIXELS = 1_000_000


def fetched(picture: Picture) -> FetchedPicture:
    data = cv2.imencode(".png", picture)[1].tobytes()
    header = measure_ordinary(data, max_pixels=MAX_PIXELS)
    assert header is not None
    return FetchedPicture(data, header, "digest")


class TestInAFetchedPicture:
    async def found_by(self, find_part: FindPart | None, file: FetchedPicture) -> Any:
        async with (
            picture_source() as pictures,
            IsolatedProcesses() as processes,
            PictureDecoder(MAX_PIXELS, processes) as decoder,
        ):
            people = PeopleInPictures(pictures, nobody, decoder, None, find_part)
            return await people.find_part(file, person(), Part.LEFT_HAND, (200, 120))

    async def test_the_part_is_found_in_its_pixels(self) -> None:
        found = await self.found_by(networks_for().estimator().part_at, fetched(PICTURE))
        assert found[0].shape == (21, 2)

    async def test_what_finds_no_single_parts_finds_none(self) -> None:
        assert await self.found_by(None, fetched(PICTURE)) is None

    async def test_a_damaged_picture_and_a_failed_network_are_errors(self) -> None:
        whole = fetched(np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8))
        damaged = FetchedPicture(whole.data[: len(whole.data) // 2], whole.header, whole.digest)
        with pytest.raises(PictureError):
            await self.found_by(networks_for().estimator().part_at, damaged)

        async def broken(crops: Picture) -> Any:
            raise InferenceError("out of memory")

        estimator = networks_for().with_parts(broken)
        with pytest.raises(InferenceError, match="out of memory"):
            await self.found_by(estimator.part_at, whole)


def without_parts(one: Person) -> Person:
    """The same person as if the networks had missed hands and face."""
    scores = one.scores.copy()
    scores[PART_RANGES[Part.FACE].start :] = 0
    return Person(one.box, one.box_score, one.keypoints, scores)


@pytest.mark.models
@pytest.mark.skipif(not MATCH.is_file(), reason="there are no photographs in ../shared/photos")
class TestWithTheEmbeddedNetworks:
    async def test_hands_and_faces_that_are_hidden_are_found_again_where_they_are_clicked(
        self, model_store: ModelStore
    ) -> None:
        detector, estimator = assemble_in_process(fetch(RunnerConfig("embedded", "cpu", 1, model_store.root)))
        picture = np.asarray(cv2.imread(str(MATCH)), np.uint8)
        compared = dict.fromkeys((Part.FACE, Part.LEFT_HAND, Part.RIGHT_HAND), 0)
        for whom in await find_people(picture, detector, estimator):
            for part in compared:
                where = list(PART_RANGES[part])
                if whom.scores[where[0]] < 0.5:
                    continue
                known = whom.keypoints[where]
                x, y = (float(value) for value in known.mean(axis=0) + 0.1 * np.ptp(known, axis=0))
                found = await estimator.part_at(picture, without_parts(whom), part, (x, y), None)
                assert found is not None
                size = float(np.ptp(known, axis=0).max())
                assert float(np.linalg.norm(found[0] - known, axis=1).mean()) < 0.2 * size
                compared[part] += 1
        assert compared == {Part.FACE: 2, Part.LEFT_HAND: 2, Part.RIGHT_HAND: 3}

    @pytest.mark.parametrize("part", [Part.LEFT_HAND, Part.FACE])
    async def test_nothing_is_found_in_a_plain_surface(self, model_store: ModelStore, part: Part) -> None:
        _, estimator = assemble_in_process(fetch(RunnerConfig("embedded", "cpu", 1, model_store.root)))
        plain = np.full((120, 160, 3), 128, np.uint8)
        assert await estimator.part_at(plain, None, part, (80, 60), None) is None

    async def test_a_gloved_hand_that_the_pipeline_misses_is_found(self, model_store: ModelStore) -> None:
        detector, estimator = assemble_in_process(fetch(RunnerConfig("embedded", "cpu", 1, model_store.root)))
        picture = np.asarray(cv2.imread(str(RIDER)), np.uint8)
        (rider,) = await find_people(picture, detector, estimator)
        assert rider.scores[list(PART_RANGES[Part.RIGHT_HAND])].max() == 0
        found = await estimator.part_at(picture, rider, Part.RIGHT_HAND, (152, 255), None)
        assert found is not None
        assert math.dist(found[0].mean(axis=0), (152, 255)) < 20
