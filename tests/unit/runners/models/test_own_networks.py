"""Networks of the user's own: what DETECTOR_MODEL and POSE_MODEL may name, and what is refused with which reason."""

import asyncio
import hashlib
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import onnx
import pytest
import rtmlib
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from adapters.cli.models import app
from runners.config import RunnerConfig
from runners.errors import ModelUnavailableError, OwnNetworkError
from runners.models.inspection import Description, UnfitNetworkError, inspect_network
from runners.models.manifest import RTMPOSE_S_HALPE26, YOLOX_TINY
from runners.models.own_networks import OwnTask, own_network, own_networks
from runners.models.store import ModelStore
from runners.networks.detector import published_detector
from runners.pipeline import assemble_in_process, load
from runners.plan import fetch
from tests.support.archive_server import ArchiveServer, make_archive
from tests.support.onnx_network import Shape, onnx_network
from wholebody.estimation import PartsEstimator, WholeBodyEstimator
from wholebody.figure import draw_figure
from wholebody.schema import FACE_START, FEET_START

SHARED = Path(__file__).parents[4].parent / "shared"
RTMDET = SHARED / "models" / "rtmdet_nano_320_end2end.onnx"
PHOTOS = sorted((SHARED / "photos").glob("*.jpg"))

needs_rtmdet = pytest.mark.skipif(
    not RTMDET.exists(), reason="needs the RTMDet-nano file in ../shared/models"
)
needs_photos = pytest.mark.skipif(not PHOTOS, reason="needs the photographs in ../shared/photos")


def save(path: Path, *network: Any, kinds: dict[str, int] | None = None) -> Path:
    path.write_bytes(onnx_network(*network, kinds=kinds, opset=17).SerializeToString())
    return path


def simcc(
    path: Path,
    keypoints: int,
    *,
    batch: int | str = "batch",
    size: tuple[int, int] = (48, 64),
    bins: tuple[int, int] | None = None,
    seed: int = 1,
) -> Path:
    """A SimCC network without training: the mean colours of the picture decide which bin is the likeliest."""
    width, height = size
    across, down = bins or (2 * width, 2 * height)
    random = np.random.default_rng(seed)
    weights = {
        "shape": np.array([-1, 1, 3] if batch == "batch" else [1, 1, 3], np.int64),
        "x": random.normal(size=(keypoints, 3, across)).astype(np.float32),
        "y": random.normal(size=(keypoints, 3, down)).astype(np.float32),
        "flat_x": np.array([-1, keypoints, across] if batch == "batch" else [1, keypoints, across], np.int64),
        "flat_y": np.array([-1, keypoints, down] if batch == "batch" else [1, keypoints, down], np.int64),
        "alone": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
        helper.make_node("Reshape", ["mean", "shape"], ["colours"]),
        helper.make_node("Unsqueeze", ["colours", "alone"], ["each"]),
        *(helper.make_node("MatMul", ["each", axis], [f"raw_{axis}"]) for axis in "xy"),
        *(helper.make_node("Reshape", [f"raw_{axis}", f"flat_{axis}"], [f"simcc_{axis}"]) for axis in "xy"),
    ]
    outputs: dict[str, Shape] = {
        "simcc_x": (batch, keypoints, across),
        "simcc_y": (batch, keypoints, down),
    }
    return save(path, {"input": (batch, 3, height, width)}, outputs, nodes, weights)


def raw_yolox(
    path: Path, *, classes: int = 80, size: int = 64, channels: int = 12, decoded: bool = False
) -> Path:
    """A YOLOX as its authors export it, with random weights: one convolution for each level."""
    random = np.random.default_rng(3)
    answers = 5 + classes
    nodes = [helper.make_node("SpaceToDepth", ["images"], ["focus"], blocksize=2)] if channels == 12 else []
    before = "focus" if channels == 12 else "images"
    step = 2 if channels == 12 else 1
    weights: dict[str, NDArray[Any]] = {"flat": np.array([1, answers, -1], np.int64)}
    levels: list[str] = []
    for stride in (8, 16, 32):
        side = stride // step
        name = f"level{stride}"
        weights[f"{name}/w"] = (random.normal(size=(answers, channels, side, side)) * 1e-4).astype(np.float32)
        nodes += [
            helper.make_node(
                "Conv",
                [before, f"{name}/w"],
                [f"{name}/maps"],
                kernel_shape=[side, side],
                strides=[side, side],
            ),
            helper.make_node("Reshape", [f"{name}/maps", "flat"], [name]),
        ]
        levels.append(name)
    nodes += [
        helper.make_node("Concat", levels, ["all"], axis=2),
        helper.make_node("Transpose", ["all"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Exp" if decoded else "Identity", ["rows"], ["output"]),
    ]
    cells = sum((size // stride) ** 2 for stride in (8, 16, 32))
    return save(path, {"images": (1, 3, size, size)}, {"output": (1, cells, answers)}, nodes, weights)


def config(folder: Path, **own: Any) -> RunnerConfig:
    """The embedded mode with networks of one's own."""
    given = {name: str(value) for name, value in own.items() if value is not None}
    return replace(RunnerConfig("embedded", "cpu", 1, folder), **given)


@pytest.fixture
def own_store(tmp_path: Path, model_store: ModelStore) -> Path:
    """A store of one's own with the embedded networks in it."""
    folder = tmp_path / "store"
    folder.mkdir()
    for file in model_store.root.glob("*.onnx"):
        (folder / file.name).symlink_to(file)
    return folder


def described(file: Path, task: OwnTask) -> Description:
    return inspect_network(file, task)


def refusal(file: Path, task: OwnTask) -> str:
    with pytest.raises(UnfitNetworkError) as caught:
        inspect_network(file, task)
    return str(caught.value)


class TestWhatASettingNames:
    def test_a_path(self) -> None:
        own = own_network("person", "networks/det.onnx")
        assert (own.source.place, own.sha256) == (Path.cwd() / "networks" / "det.onnx", None)

    def test_an_address_with_a_digest(self) -> None:
        own = own_network("body", "https://example.org/a/pose.onnx#sha256=" + "AB" * 32)
        assert (own.source.place, own.sha256) == ("https://example.org/a/pose.onnx", "ab" * 32)

    @pytest.mark.parametrize(
        ("setting", "reason"),
        [
            (
                "ftp://example.org/pose.onnx",
                "POSE_MODEL is neither a path nor an http:// or https:// address.",
            ),
            ("https:///pose.onnx", "POSE_MODEL is neither a path nor an http:// or https:// address."),
            ("https://[::1/pose.onnx", "POSE_MODEL is neither a path nor an http:// or https:// address."),
            ("pose.onnx#sha256=abc", "POSE_MODEL: `#sha256=` must be followed by 64 hexadecimal digits."),
        ],
    )
    def test_anything_else_is_refused(self, setting: str, reason: str) -> None:
        with pytest.raises(OwnNetworkError, match=re.escape(reason)):
            own_network("body", setting)

    def test_secrets_of_an_address_are_not_repeated(self) -> None:
        own = own_network("body", "https://me:secret@example.org/pose.onnx?signature=secret")
        assert str(own) == "POSE_MODEL=https://example.org/pose.onnx"


class TestPoseNetworks:
    @pytest.mark.parametrize("keypoints", [17, 26, 133])
    def test_size_and_keypoints_are_read_from_the_file(self, keypoints: int, tmp_path: Path) -> None:
        file = simcc(tmp_path / "pose.onnx", keypoints, size=(96, 128))
        assert described(file, "body") == Description((96, 128), keypoints)

    def test_a_real_one(self, model_store: ModelStore) -> None:
        assert described(model_store.path(RTMPOSE_S_HALPE26), "body") == Description((192, 256), 26)

    def test_one_that_takes_a_single_crop_at_a_time(self, tmp_path: Path) -> None:
        assert described(simcc(tmp_path / "pose.onnx", 17, batch=1), "body").one_by_one

    @pytest.mark.parametrize(("keypoints", "whose"), [(21, "of a hand"), (106, "of a face")])
    def test_networks_for_something_else_are_refused(
        self, keypoints: int, whose: str, tmp_path: Path
    ) -> None:
        assert refusal(simcc(tmp_path / "pose.onnx", keypoints), "body") == (
            f"it finds {keypoints} keypoints, {whose}; supported are 17 (COCO), 26 (Halpe), 133 (COCO-WholeBody)"
        )

    def test_outputs_that_do_not_go_with_the_input_are_refused(self, tmp_path: Path) -> None:
        file = simcc(tmp_path / "pose.onnx", 17, bins=(48, 64))
        assert "with an input of 48×64 `simcc_x` should have 96 bins and `simcc_y` 128" in refusal(
            file, "body"
        )

    def test_heatmaps_are_refused(self, tmp_path: Path) -> None:
        weights = {"w": np.zeros((17, 3, 4, 4), np.float32)}
        node = helper.make_node("Conv", ["input", "w"], ["heatmaps"], kernel_shape=[4, 4], strides=[4, 4])
        shapes: tuple[dict[str, Shape], dict[str, Shape]] = (
            {"input": (1, 3, 64, 48)},
            {"heatmaps": (1, 17, 16, 12)},
        )
        file = save(tmp_path / "vitpose.onnx", *shapes, [node], weights)
        assert refusal(file, "body").startswith("its outputs are heatmaps (`heatmaps` (1×17×16×12))")

    def test_a_detector_is_refused(self, model_store: ModelStore) -> None:
        file = model_store.path(YOLOX_TINY)
        assert refusal(file, "body") == "it is a detector: name it in DETECTOR_MODEL"


class TestDetectors:
    def test_a_yolox(self, model_store: ModelStore) -> None:
        assert described(model_store.path(YOLOX_TINY), "person") == Description((416, 416), detector="yolox")

    @needs_rtmdet
    def test_an_rtmdet_whose_size_only_its_name_tells(self) -> None:
        assert described(RTMDET, "person") == Description((320, 320), detector="rtmdet")

    @needs_rtmdet
    @pytest.mark.parametrize(
        ("name", "size"),
        [
            ("rtmdet.onnx", (640, 640)),
            ("rtmdet_m_640-8xb32.onnx", (640, 640)),
            ("rtmdet_320x256.onnx", (256, 320)),
        ],
    )
    def test_the_size_is_the_name_s_or_the_usual_one(
        self, name: str, size: tuple[int, int], tmp_path: Path
    ) -> None:
        (tmp_path / name).symlink_to(RTMDET)
        assert described(tmp_path / name, "person").input_size == size

    @pytest.mark.parametrize(("decoded", "kind"), [(False, "yolox_raw"), (True, "yolox_decoded")])
    def test_a_yolox_of_its_authors(self, decoded: bool, kind: str, tmp_path: Path) -> None:
        file = raw_yolox(tmp_path / "yolox_s.onnx", decoded=decoded)
        assert described(file, "person") == Description((64, 64), detector=cast(Any, kind))

    def test_one_that_knows_no_people_is_refused(self, tmp_path: Path) -> None:
        said = refusal(raw_yolox(tmp_path / "yolox.onnx", classes=20), "person")
        assert said.startswith("it detects 20 classes, whose person class is unknown")

    def test_another_kind_of_network_is_refused(self, tmp_path: Path) -> None:
        said = refusal(raw_yolox(tmp_path / "yolov8.onnx", channels=3), "person")
        assert said.startswith(
            "its output is `output` (1×84×85), not what YOLOX (1×84×85 at this input size)"
        )

    def test_a_pose_network_is_refused(self, model_store: ModelStore) -> None:
        file = model_store.path(RTMPOSE_S_HALPE26)
        assert refusal(file, "person") == "it is a pose network: name it in POSE_MODEL"


class TestFilesThatAreNoNetworks:
    @pytest.mark.parametrize("content", [b"", b"no network", os.urandom(5000)])
    def test_something_else(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "pose.onnx").write_bytes(content)
        assert refusal(tmp_path / "pose.onnx", "body").startswith("it is not an intact ONNX file")

    def test_a_truncated_one(self, tmp_path: Path) -> None:
        file = simcc(tmp_path / "pose.onnx", 17)
        file.write_bytes(file.read_bytes()[:-3000])
        assert refusal(file, "body")

    def test_weights_in_another_file(self, tmp_path: Path) -> None:
        model = onnx.load(simcc(tmp_path / "pose.onnx", 133))
        onnx.save(
            model, tmp_path / "pose.onnx", save_as_external_data=True, location="weights", size_threshold=0
        )
        assert refusal(tmp_path / "pose.onnx", "body").startswith("its weights are in a separate file")

    @pytest.mark.parametrize(
        ("kind", "shape", "said"),
        [
            (TensorProto.FLOAT16, (1, 3, 64, 48), "its input is FLOAT16 instead of FLOAT (32-bit)"),
            (TensorProto.FLOAT, (1, 64, 48, 3), "its input has the colours last (n×height×width×3)"),
            (TensorProto.FLOAT, (1, 1, 64, 48), "its input is 1×1×64×48 instead of n×3×height×width"),
        ],
    )
    def test_other_inputs(self, kind: int, shape: Shape, said: str, tmp_path: Path) -> None:
        node = helper.make_node("Identity", ["input"], ["output"])
        kinds = {"input": kind, "output": kind}
        file = save(tmp_path / "pose.onnx", {"input": shape}, {"output": shape}, [node], {}, kinds=kinds)
        assert refusal(file, "body").startswith(said)

    def test_operators_that_nobody_knows(self, tmp_path: Path) -> None:
        node = helper.make_node("TRTBatchedNMS", ["input"], ["output"], domain="mmdeploy")
        shape = (1, 3, 64, 48)
        file = save(tmp_path / "det.onnx", {"input": shape}, {"output": shape}, [node], {})
        assert refusal(file, "person").startswith("ONNX Runtime cannot load it")


class TestFromTheSettingToTheNetwork:
    def test_what_is_not_named_comes_from_the_mode(self, own_store: Path, tmp_path: Path) -> None:
        own = config(own_store, pose_model=simcc(tmp_path / "pose.onnx", 17))
        plan = fetch(own)
        assert list(plan.files) == ["person", "body", "hand", "palm", "face", "face_mesh"]
        assert plan.files["person"] == YOLOX_TINY
        assert isinstance(assemble_in_process(plan)[1], PartsEstimator)

    def test_one_for_all_keypoints_needs_no_others(self, own_store: Path, tmp_path: Path) -> None:
        own = config(own_store, pose_model=simcc(tmp_path / "pose.onnx", 133))
        plan = fetch(own)
        assert list(plan.files) == ["person", "body"]
        assert isinstance(assemble_in_process(plan)[1], WholeBodyEstimator)

    def test_one_for_the_body_goes_with_networks_for_hands_and_face_in_any_mode(
        self, own_store: Path, tmp_path: Path
    ) -> None:
        pose, detector = simcc(tmp_path / "pose.onnx", 26), raw_yolox(tmp_path / "yolox.onnx")
        own = replace(config(own_store, pose_model=pose, detector_model=detector), mode="balanced")
        assert {"hand", "palm", "face", "face_mesh"} < set(fetch(own).files)

    def test_the_version_changes_with_the_file(self, own_store: Path, tmp_path: Path) -> None:
        versions: set[str] = set()
        for seed in (1, 2):
            own = config(own_store, pose_model=simcc(tmp_path / "pose.onnx", 17, seed=seed))
            versions.add(fetch(own).version)
        assert len(versions) == 2
        assert all(re.fullmatch("rtmlib-own-[0-9a-f]{8}", version) for version in versions)

    def test_a_known_file_of_one_s_own_gives_what_the_mode_gives(
        self, own_store: Path, model_store: ModelStore
    ) -> None:
        own = config(own_store, pose_model=model_store.path(RTMPOSE_S_HALPE26))
        crops = np.random.default_rng(0).integers(0, 256, (2, 256, 192, 3), np.uint8)
        ours, same = (load(fetch(one).networks["body"], one)(crops) for one in (own, config(own_store)))
        assert np.array_equal(np.stack(ours), np.stack(same))

    def test_a_network_that_takes_one_crop_at_a_time_gives_the_same_for_several(
        self, own_store: Path, tmp_path: Path
    ) -> None:
        crops = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), np.uint8)
        answers: list[NDArray[np.float32]] = []
        for batch in ("batch", 1):
            own = config(own_store, pose_model=simcc(tmp_path / f"pose_{batch}.onnx", 17, batch=batch))
            answers.append(np.stack(load(fetch(own).networks["body"], own)(crops)))
        assert np.allclose(*answers, atol=1e-4)

    async def test_feet_that_a_network_does_not_know_have_no_score(
        self, own_store: Path, model_store: ModelStore
    ) -> None:
        """RTMPose-s, of which all but COCO's keypoints are left out."""
        model: Any = onnx.load(model_store.path(RTMPOSE_S_HALPE26))
        for axis in "xy":
            made = next(node for node in model.graph.node if f"simcc_{axis}" in node.output)
            made.output[0] = f"all_{axis}"
            model.graph.node.append(
                helper.make_node("Gather", [f"all_{axis}", "coco"], [f"simcc_{axis}"], axis=1)
            )
        model.graph.initializer.append(numpy_helper.from_array(np.arange(17), "coco"))
        for output, bins in zip(model.graph.output, (384, 512), strict=True):
            output.CopyFrom(
                helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["batch", 17, bins])
            )
        file = own_store.parent / "coco17.onnx"
        onnx.save(model, file)
        own = config(own_store, pose_model=file)
        figure = np.ascontiguousarray(np.asarray(draw_figure())[..., ::-1])
        box = np.array([[0, 0, figure.shape[1], figure.shape[0]]], np.float32)
        seventeen = await assemble_in_process(fetch(own))[1].estimate(figure, box)
        embedded = await assemble_in_process(fetch(config(own_store)))[1].estimate(figure, box)
        assert np.allclose(seventeen.keypoints[:, :FEET_START], embedded.keypoints[:, :FEET_START])
        assert (seventeen.scores[:, FEET_START:FACE_START] == 0).all()
        assert (embedded.scores[:, FEET_START:FACE_START] > 0).any()

    def test_unknown_weights_stay_in_f32_under_auto(self, own_store: Path, model_store: ModelStore) -> None:
        other: Any = onnx.load(model_store.path(YOLOX_TINY))
        other.doc_string = "another file with other weights, as far as anybody knows"
        onnx.save(other, own_store.parent / "other.onnx")
        own = replace(
            config(own_store, detector_model=own_store.parent / "other.onnx"), engine="auto", precision="auto"
        )
        assert fetch(own).networks["person"].precision == "f32"

    def test_a_refused_file_stops_with_setting_and_reason(self, own_store: Path, tmp_path: Path) -> None:
        own = config(own_store, pose_model=simcc(tmp_path / "hand.onnx", 21))
        with pytest.raises(
            OwnNetworkError, match=r"POSE_MODEL=.*hand\.onnx cannot be used: it finds 21 keypoints"
        ):
            fetch(own)
        assert not list(own_store.glob("hand.*"))

    @pytest.mark.parametrize("name", ["absent.onnx", "."])
    def test_no_file(self, name: str, own_store: Path, tmp_path: Path) -> None:
        with pytest.raises(
            OwnNetworkError, match=r"DETECTOR_MODEL=.*(cannot be read: No such file|not a file)"
        ):
            fetch(config(own_store, detector_model=tmp_path / name))

    def test_a_file_with_another_digest(self, own_store: Path, tmp_path: Path) -> None:
        file = simcc(tmp_path / "pose.onnx", 17)
        with pytest.raises(OwnNetworkError, match=f"instead of {'0' * 64} in POSE_MODEL"):
            fetch(config(own_store, pose_model=f"{file}#sha256={'0' * 64}"))

    def test_an_archive_as_openmmlab_makes_them(self, own_store: Path, tmp_path: Path) -> None:
        network = simcc(tmp_path / "pose.onnx", 17).read_bytes()
        (tmp_path / "rtmpose.zip").write_bytes(make_archive(network))
        own = config(
            own_store, pose_model=f"{tmp_path / 'rtmpose.zip'}#sha256={hashlib.sha256(network).hexdigest()}"
        )
        assert fetch(own).files["body"].keypoints == 17

    def test_an_archive_without_a_network(self, own_store: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "weights.pth", "w") as archive:
            archive.writestr("archive/data.pkl", b"")
        with pytest.raises(ModelUnavailableError, match=r"holds 0 files named end2end\.onnx"):
            fetch(config(own_store, pose_model=tmp_path / "weights.pth"))


class TestFromTheWeb:
    @pytest.mark.parametrize("packed", [make_archive, bytes], ids=["archive", "plain"])
    def test_it_is_fetched_once_and_then_known(
        self, packed: Callable[[bytes], bytes], server: ArchiveServer, own_store: Path, tmp_path: Path
    ) -> None:
        network = simcc(tmp_path / "pose.onnx", 17).read_bytes()
        site = server.add("/rtmpose-t_17.onnx", packed(network))
        own = config(own_store, pose_model=site.url)
        for _ in range(2):
            fetch(own)
        assert len(site.requests) == 1
        assert fetch(own).files["body"].name.startswith("rtmpose-t_17.")

    def test_another_file_at_the_same_address_is_not_trusted(
        self, server: ArchiveServer, own_store: Path, tmp_path: Path
    ) -> None:
        site = server.add("/pose.onnx", simcc(tmp_path / "pose.onnx", 17).read_bytes())
        own = config(own_store, pose_model=site.url)
        fetch(own)
        next(own_store.glob("pose.*.onnx")).unlink()
        site.content = simcc(tmp_path / "pose.onnx", 17, seed=2).read_bytes()
        with pytest.raises(ModelUnavailableError, match=r"recorded in .* when the file was first seen"):
            fetch(own)

    def test_without_a_network_the_start_stops_with_what_to_do(self, own_store: Path) -> None:
        own = config(own_store, detector_model="http://127.0.0.1:9/det.onnx?signature=secret")
        with pytest.raises(ModelUnavailableError) as caught:
            fetch(own)
        assert re.fullmatch(
            r"The model store lacks det\.[0-9a-f]{12}\.onnx \(from http://127\.0\.0\.1:9/det\.onnx\): .*\. Correct "
            rf"this and retry, or copy the files to {re.escape(str(own_store))} under these names.*",
            str(caught.value),
        )


class TestYoloxOfItsAuthors:
    @pytest.mark.parametrize("people", [0, 1, 3])
    def test_boxes_are_those_of_rtmlib(
        self, people: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cells = sum((64 // stride) ** 2 for stride in (8, 16, 32))
        rows = np.random.default_rng(people).normal(0, 0.5, (1, cells, 85)).astype(np.float32)
        rows[..., 4:] = 0.01
        for person in range(people):
            rows[0, 9 + 27 * person, [4, 5]] = 0.95, 0.9 - person / 20

        class Answers:
            def run(self, *_: Any) -> list[NDArray[np.float32]]:
                return [rows.copy()]

        (found,) = published_detector("yolox_raw", Answers())(np.zeros((1, 64, 64, 3), np.uint8))
        reference = rtmlib.YOLOX(str(raw_yolox(tmp_path / "yolox.onnx")), (64, 64), backend="onnxruntime")
        expected = reference.postprocess(cast(Any, rows.copy()), 1.0)
        assert found.boxes.shape[0] == people
        assert np.allclose(found.boxes, np.reshape(expected, (-1, 4)), atol=1e-3)


@needs_rtmdet
@needs_photos
class TestRtmdetOnPhotographs:
    def test_boxes_are_those_of_rtmlib(self, own_store: Path) -> None:
        own = config(own_store, detector_model=RTMDET)
        detector, _ = assemble_in_process(fetch(own))
        reference = rtmlib.RTMDet(str(RTMDET), (320, 320), backend="onnxruntime")
        people = 0
        for photo in PHOTOS:
            picture = cast(Any, cv2.imread(str(photo)))
            ours = asyncio.run(detector.detect(picture)).boxes
            theirs = cast(NDArray[np.float32], reference(picture))
            assert len(ours) == len(theirs)
            apart = np.abs(ours[np.lexsort(ours.T)] - theirs[np.lexsort(theirs.T)])
            assert apart.max(initial=0) <= 0.5
            people += len(ours)
        assert people >= 5


class TestCommands:
    @pytest.fixture
    def environment(self, own_store: Path, tmp_path: Path) -> dict[str, str]:
        pose = simcc(tmp_path / "mine.onnx", 17)
        return {"MODEL_CACHE_DIR": str(own_store), "POSE_MODEL": str(pose), "COLUMNS": "300"}

    def test_pull_says_what_the_network_is_and_how_to_pin_it(self, environment: dict[str, str]) -> None:
        result = CliRunner().invoke(app, ["pull", "--mode", "embedded"], env=environment)
        digest = hashlib.sha256(Path(environment["POSE_MODEL"]).read_bytes()).hexdigest()
        assert f"mine.onnx: 17 keypoints, input 48×64, #sha256={digest}" in result.output

    def test_list_shows_it(self, environment: dict[str, str]) -> None:
        CliRunner().invoke(app, ["pull", "--mode", "embedded"], env=environment)
        result = CliRunner().invoke(app, ["list", "--mode", "embedded"], env=environment)
        (row,) = [line for line in result.output.splitlines() if line.startswith("│ own")]
        assert [cell.strip() for cell in row.split("│")[1:-1]][3:] == [
            "its own",
            environment["POSE_MODEL"],
            "ok",
        ]

    def test_a_wrong_setting_is_refused(self) -> None:
        result = CliRunner().invoke(app, ["list"], env={"POSE_MODEL": "ftp://example.org/x"})
        assert (result.exit_code, "POSE_MODEL is neither" in result.output) == (1, True)


def test_nothing_is_one_s_own_without_the_settings() -> None:
    assert own_networks(None, None) == []
