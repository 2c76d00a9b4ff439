"""Runs the networks for hands: along arms, at palms, around a click."""

from dataclasses import dataclass

from wholebody.clicks import Click
from wholebody.geometry import Picture, SquareRegion, size_of
from wholebody.hands import arms, clicked, palms
from wholebody.hands.landmarks import (
    MAX_REFINEMENTS,
    PROMISING_SCORE,
    Hand,
    distinct,
    is_hand,
    refined_region,
)
from wholebody.networks import Floats, HandLandmarks, Network, PalmDetections, at_once, cut_squares
from wholebody.schema import Part


@dataclass(frozen=True)
class HandSearch:
    """Finds hands in pictures.

    Attributes:
        network: The hand network.
        size: Width and height of its square input.
        palm_detector: The palm detector.
        palm_detector_size: Width and height of its square input.
    """

    network: Network[HandLandmarks]
    size: int
    palm_detector: Network[PalmDetections]
    palm_detector_size: int

    async def of_people(
        self, picture: Picture, bodies: Floats, scores: Floats, boxes: Floats
    ) -> list[tuple[int, Part, Hand]]:
        """Return the hands of all people: index of the person, side, and hand.

        Args:
            picture: H×W×3 uint8, BGR, upright.
            bodies: COCO keypoints of all people, pixels, shape (n, 17, 2).
            scores: Their scores, shape (n, 17).
            boxes: x1, y1, x2, y2 in pixels, shape (n, 4).
        """
        size = size_of(picture)
        to_search = arms.arms_to_search(bodies, scores, size)
        torsos = palms.torsos_to_search(bodies, scores, boxes, to_search, size)
        regions = [arm.region for arm in to_search]
        finds, detected = await at_once(
            self.look_and_refine(picture, regions),
            self._detect(picture, [torso.region for torso in torsos]),
        )
        of_arms = arms.believed([(arm, hand) for arm, (hand, _) in zip(to_search, finds, strict=True)], size)
        known = [hand for _, hand in of_arms]
        found = [(arm.person, arm.part, hand) for arm, hand in of_arms]
        have = {(person, part) for person, part, _ in found}
        unknown = [palms.unknown(seen, known) for seen in detected]
        at_palms = iter(
            await self.look_and_refine(picture, [palm.region for seen in unknown for palm in seen])
        )
        for torso, seen in zip(torsos, unknown, strict=True):
            at_own = [next(at_palms)[0] for _ in seen]
            missing = {part for part in arms.ARMS if (torso.person, part) not in have}
            own = palms.hands_of_torso(torso, at_own, missing, known, size)
            found += [(torso.person, part, hand) for part, hand in own]
            known += [hand for _, hand in own]
        return found

    async def alone(self, picture: Picture, box: Floats) -> list[Hand]:
        """Return the hands in a box (x1, y1, x2, y2, pixels) without a body, in any turn.

        Where no palm is detected, the hand network itself searches the box, and must be sure.
        """
        size = size_of(picture)
        for turn in palms.TURNS:
            (seen,) = await self._detect(picture, [palms.square_around(box, turn)])
            regions = [palm.region for palm in seen[: palms.MOST_ALONE]]
            finds = [hand for hand, _ in await self.look_and_refine(picture, regions)]
            if hands := distinct([hand for hand in finds if is_hand(hand, size)]):
                return hands
        (x, y), reach = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) / 2
        click = Click.on((float(x), float(y)), None, reach, size)
        hand = await self.at_click(
            picture, click, Part.RIGHT_HAND
        )  # without a person, either side is the same
        is_sure = hand is not None and is_hand(hand, size) and hand.score >= clicked.SURE_SCORE
        return [hand] if hand is not None and is_sure else []

    async def look_and_refine(
        self, picture: Picture, regions: list[SquareRegion]
    ) -> list[tuple[Hand, SquareRegion]]:
        """Run the hand network in regions, and again where it found a hand; see `refine`."""
        return await self.refine(picture, await self.look(picture, regions), regions)

    async def refine(
        self,
        picture: Picture,
        finds: list[Hand],
        regions: list[SquareRegion],
        least_score: float = PROMISING_SCORE,
    ) -> list[tuple[Hand, SquareRegion]]:
        """Run the hand network again in regions from its own keypoints; return the hands and the last regions."""
        settled = list(zip(finds, regions, strict=True))
        for _ in range(MAX_REFINEMENTS):
            again = {
                i: refined
                for i, find in enumerate(settled)
                if (refined := refined_region(*find, least_score))
            }
            if not again:
                break
            for i, find in zip(again, await self.look(picture, list(again.values())), strict=True):
                settled[i] = (find, again[i])
        return settled

    async def look(self, picture: Picture, regions: list[SquareRegion]) -> list[Hand]:
        """Run the hand network once in regions."""
        if not regions:
            return []
        found = await self.network(await cut_squares(picture, regions, self.size, repeat_edge=True))
        return [
            Hand(region.to_picture(one.points), one.score, one.right)
            for region, one in zip(regions, found, strict=True)
        ]

    async def _detect(self, picture: Picture, regions: list[SquareRegion]) -> list[list[palms.Palm]]:
        if not regions:
            return []
        detected = await self.palm_detector(
            await cut_squares(picture, regions, self.palm_detector_size, repeat_edge=False)
        )
        return [palms.palms_in(region, found) for region, found in zip(regions, detected, strict=True)]

    async def at_click(self, picture: Picture, click: Click, part: Part) -> Hand | None:
        """Return the hand at an annotator's click or rectangle, or None."""
        looks: list[clicked.Look] = []
        found: Hand | None = None
        batches = clicked.regions_at(click, part)
        for batch, regions in enumerate(batches):
            seen = await self.look(picture, regions)
            best = clicked.most_promising(seen)
            refined = await self.refine(
                picture,
                [seen[i] for i in best],
                [regions[i] for i in best],
                clicked.CLICKED_PROMISING_SCORE,
            )
            looks += [clicked.Look(*find) for find in refined]
            found = clicked.hand_at(click, part, looks)
            if clicked.is_enough(found, batch, len(batches)):
                break
        return found
