"""What annotators of a clip would notice late: frames that are not the clip's, and no picture."""

from collections.abc import Iterator

from adapters.label_studio.regions.video import PeopleInVideo
from adapters.video.browsers import codec_warning


def video_warnings(found: PeopleInVideo) -> Iterator[str]:
    """Yield sentences about how Label Studio shows a clip."""
    if (codec := codec_warning(found.people.codec)) is not None:
        yield codec
    times, video = found.people.times, found.video
    span = float(times[-1] - times[0])
    if span > 0 and abs(found.frame_rate * span - (len(times) - 1)) >= 1:
        own = f"{(len(times) - 1) / span:.5g}"
        written = video.frame_rate
        where = (
            f"the task's field {written[1:]} to {own}"
            if written.startswith("$")
            else f"frameRate=\"{own}\" on Video '{video.name}'"
        )
        yield (
            f"Label Studio counts {found.frame_rate:.5g} frames a second, and the clip has {own}: frame numbers are "
            f"not the clip's. Set {where}."
        )
