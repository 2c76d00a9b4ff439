"""Runs the networks for hands: along arms, at palms, around a click."""

from collections.abc import Mapping, Sequence
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
    same_hand,
)
from wholebody.known_parts import Anchor, KnownPart, Search
from wholebody.networks import Floats, HandLandmarks, Network, PalmDetections, at_once, cut_squares
from wholebody.schema import Part

Whose = tuple[int, Part]
"""Index of a person, and the side of their hand."""
Looked = tuple[Hand, SquareRegion]
"""A result of the hand network, and the region in which it was found."""


@dataclass(frozen=True)
class FoundHand:
    """A hand of a person.

    Attributes:
        person: Index of the person in the picture.
        part: The left or the right hand.
        hand: The hand.
        known: Where to look for it in the next frame of a clip.
    """

    person: int
    part: Part
    hand: Hand
    known: KnownPart


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
        self, picture: Picture, bodies: Floats, scores: Floats, boxes: Floats, searches: Sequence[Search]
    ) -> list[FoundHand]:
        """Return the hands of all people.

        Args:
            picture: H×W×3 uint8, BGR, upright.
            bodies: COCO keypoints of all people, pixels, shape (n, 17, 2).
            scores: Their scores, shape (n, 17).
            boxes: x1, y1, x2, y2 in pixels, shape (n, 4).
            searches: What is known of each person from the frame before.
        """
        size = size_of(picture)
        skipped = {(person, part) for person, search in enumerate(searches) for part in search.skipped}
        of_arms = {
            (arm.person, arm.part): arm
            for arm in arms.arms_to_search(bodies, scores, size)
            if (arm.person, arm.part) not in skipped
        }
        looked = await self._where_they_were(picture, bodies, boxes, searches, of_arms)
        to_search = [arm for whose, arm in of_arms.items() if whose not in looked]
        torsos = palms.torsos_to_search(bodies, scores, boxes, {*of_arms, *looked, *skipped}, size)
        finds, detected = await at_once(
            self.look_and_refine(picture, [arm.region for arm in to_search]),
            self._detect(picture, [torso.region for torso in torsos]),
        )
        looked |= {(arm.person, arm.part): find for arm, find in zip(to_search, finds, strict=True)}
        own = arms.believed([(arm, looked[whose][0]) for whose, arm in of_arms.items()], size)
        found = {(arm.person, arm.part): looked[arm.person, arm.part] for arm, _ in own}
        known = [hand for hand, _ in found.values()]
        for whose in looked.keys() - of_arms.keys():
            if not any(same_hand(looked[whose][0], other) for other in known):
                found[whose] = looked[whose]
                known.append(looked[whose][0])
        found |= await self._at_palms(picture, list(zip(torsos, detected, strict=True)), found)
        return [
            FoundHand(
                *whose,
                hand,
                KnownPart(refined_region(hand, region) or region, _anchor(whose, of_arms, bodies)),
            )
            for whose, (hand, region) in found.items()
        ]

    async def _where_they_were(
        self,
        picture: Picture,
        bodies: Floats,
        boxes: Floats,
        searches: Sequence[Search],
        of_arms: Mapping[Whose, arms.Arm],
    ) -> dict[Whose, Looked]:
        """Run the hand network once for each known hand; return those that are still there."""
        size = size_of(picture)
        moved = {
            (person, part): known.at(_anchor((person, part), of_arms, bodies))
            for person, search in enumerate(searches)
            for part, known in search.known.items()
            if part in arms.ARMS and part not in search.skipped
        }
        seen = await self.look(picture, list(moved.values()))
        looked = {whose: (hand, moved[whose]) for whose, hand in zip(moved, seen, strict=True)}
        return {
            (person, part): (hand, region)
            for (person, part), (hand, region) in looked.items()
            if (
                arms.is_of_arm(of_arms[person, part], hand, size)
                if (person, part) in of_arms
                else hand.side is part and palms.is_in_box(hand, boxes[person], size)
            )
        }

    async def _at_palms(
        self,
        picture: Picture,
        torsos: Sequence[tuple[palms.Torso, list[palms.Palm]]],
        found: Mapping[Whose, Looked],
    ) -> dict[Whose, Looked]:
        """Return the hands at palms in the boxes of people, besides those that are found already."""
        known = [hand for hand, _ in found.values()]
        unknown = [palms.unknown(detected, known) for _, detected in torsos]
        regions = [palm.region for detected in unknown for palm in detected]
        looks = iter(await self.look_and_refine(picture, regions))
        more: dict[Whose, Looked] = {}
        for (torso, _), detected in zip(torsos, unknown, strict=True):
            own_looks = [next(looks) for _ in detected]
            missing = {part for part in arms.ARMS if (torso.person, part) not in found}
            hands = [hand for hand, _ in own_looks]
            for part, hand in palms.hands_of_torso(torso, hands, missing, known, size_of(picture)):
                more[torso.person, part] = next(look for look in own_looks if look[0] is hand)
                known.append(hand)
        return more

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


def _anchor(whose: Whose, of_arms: Mapping[Whose, arms.Arm], bodies: Floats) -> Anchor:
    """Return what the region of a hand follows: its forearm, or the wrist alone if no forearm is seen."""
    person, part = whose
    return of_arms[whose].anchor if whose in of_arms else Anchor(bodies[person, arms.ARMS[part][2]])
