"""A detector cut before its suppression finds what the published graph finds, in any number of pictures at once."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from runners.engines import Place, load_graph
from runners.graphs.editing import UnexpectedGraphError
from runners.graphs.yolox import prepare_yolox
from runners.models.manifest import EMBEDDED
from runners.models.store import ModelStore
from runners.networks.detector import Detector, PreparedDetector, published_detector
from tests.support.onnx_network import onnx_network
from wholebody.geometry import letterbox

PLACE = Place("cpu", 2)
PHOTOS = Path(__file__).parents[4].parent / "shared" / "photos"
CLASSES, SIZE = 3, 32
LEVELS = (8, 4)  # strides


def small_yolox(*, iou: float = 0.65) -> Any:
    """A network with the end of mmdeploy's YOLOX exports, whose features are means over squares of pixels."""
    random = np.random.default_rng(5)
    nodes: list[Any] = []
    weights: dict[str, NDArray[Any]] = {
        "start": np.array([0], np.int64),
        "middle": np.array([2], np.int64),
        "end": np.array([4], np.int64),
        "axis": np.array([2], np.int64),
        "half": np.array(0.5, np.float32),
        "to_size": np.array([0.02, 0.02], np.float32),
        "iou": np.array([iou], np.float32),
        "least": np.array([0.01], np.float32),
        "most": np.array([200], np.int64),
        "cells": np.array([sum((SIZE // s) ** 2 for s in LEVELS)], np.int64),
        "boxes_column": np.array(2, np.int64),
        "class_column": np.array(1, np.int64),
        **{f"column_{i}": np.array(i, np.int64) for i in range(2)},
    }
    channels = {"cls": CLASSES, "reg": 4, "obj": 1}
    for stride in LEVELS:
        kernel = [stride, stride]
        nodes.append(
            helper.make_node("AveragePool", ["input"], [f"seen{stride}"], kernel_shape=kernel, strides=kernel)
        )
        for kind, count in channels.items():
            weight, bias = f"{kind}{stride}.weight", f"{kind}{stride}.bias"
            weights[weight] = random.normal(0, 0.01, (count, 3, 1, 1)).astype(np.float32)
            weights[bias] = np.full(count, 1.8 if kind == "reg" else 1, np.float32)
            weights[f"shape_{kind}"] = np.array([1, -1, *([count] if kind != "obj" else [])], np.int64)
            nodes += [
                helper.make_node("Conv", [f"seen{stride}", weight, bias], [f"{kind}{stride}"]),
                helper.make_node("Transpose", [f"{kind}{stride}"], [f"{kind}{stride}_t"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{kind}{stride}_t", f"shape_{kind}"], [f"{kind}{stride}_r"]),
            ]
    grid = [
        (np.stack(np.mgrid[: SIZE // s, : SIZE // s][::-1], axis=-1).reshape(-1, 2) + 0.5) * s for s in LEVELS
    ]
    weights["grid"] = np.concatenate(grid).astype(np.float32)
    nodes += [
        *(helper.make_node("Concat", [f"{kind}{s}_r" for s in LEVELS], [kind], axis=1) for kind in channels),
        helper.make_node("Sigmoid", ["cls"], ["likely"]),
        helper.make_node("Sigmoid", ["obj"], ["there"]),
        helper.make_node("Slice", ["reg", "start", "middle", "axis"], ["shift"]),
        helper.make_node("Slice", ["reg", "middle", "end", "axis"], ["grown"]),
        helper.make_node("Add", ["shift", "grid"], ["centre"]),
        helper.make_node("Exp", ["grown"], ["times"]),
        helper.make_node("Clip", ["times"], ["extent"]),
        helper.make_node("Sub", ["centre", "extent"], ["low"]),
        helper.make_node("Add", ["centre", "extent"], ["high"]),
        helper.make_node("Concat", ["low", "high"], ["boxes0"], axis=2),
        helper.make_node("Unsqueeze", ["there"], ["there_too"], axes=[-1]),
        helper.make_node("Mul", ["likely", "there_too"], ["scores0"]),
        helper.make_node("ReduceMax", ["scores0"], ["best"], axes=[-1], keepdims=0),
        helper.make_node("Squeeze", ["best"], ["best_of_one"], axes=[0]),
        helper.make_node("TopK", ["best_of_one", "cells"], ["top", "order"], axis=0),
        helper.make_node("Gather", ["boxes0", "order"], ["boxes1"], axis=1),
        helper.make_node("Gather", ["scores0", "order"], ["scores1"], axis=1),
        helper.make_node("Transpose", ["scores1"], ["by_class"], perm=[0, 2, 1]),
        helper.make_node("NonMaxSuppression", ["boxes1", "by_class", "most", "iou", "least"], ["kept"]),
        helper.make_node("Gather", ["kept", "class_column"], ["classes"], axis=1),
        helper.make_node("Gather", ["kept", "boxes_column"], ["which"], axis=1),
        helper.make_node("Transpose", ["scores1"], ["columns"], perm=[2, 1, 0]),
        helper.make_node("Flatten", ["columns"], ["flat"], axis=2),
        helper.make_node("Mul", ["classes", "cells"], ["offset"]),
        helper.make_node("Add", ["offset", "which"], ["place"]),
        helper.make_node("Gather", ["flat", "place"], ["their_scores"], axis=0),
        helper.make_node("Transpose", ["their_scores"], ["in_a_row"], perm=[1, 0]),
        helper.make_node("Unsqueeze", ["in_a_row"], ["in_a_column"], axes=[2]),
        helper.make_node("Gather", ["boxes1", "which"], ["their_boxes"], axis=1),
        helper.make_node("Concat", ["their_boxes", "in_a_column"], ["dets"], axis=2),
        helper.make_node("Unsqueeze", ["classes"], ["labels"], axes=[0]),
    ]
    return onnx_network(
        {"input": (1, 3, SIZE, SIZE)},
        {"dets": (1, None, 5), "labels": (1, None)},
        nodes,
        weights,
        kinds={"labels": TensorProto.INT64},
        opset=11,
        ir_version=6,
    )


def detectors(folder: Path, model: Any) -> tuple[Detector, Detector]:
    """The published network and the prepared one."""
    found: list[Detector] = []
    for prepared in (False, True):
        file = folder / f"{prepared}.onnx"
        onnx.save(prepare_yolox(model) if prepared else model, str(file))
        onnx.checker.check_model(str(file))
        graph = load_graph([file], "onnxruntime", ["f32"], PLACE)
        found.append(PreparedDetector(graph) if prepared else published_detector("yolox", graph))
    return found[0], found[1]


def test_a_batch_of_pictures_gets_the_boxes_that_each_gets_alone_in_the_published_graph(
    tmp_path: Path,
) -> None:
    published, prepared = detectors(tmp_path, small_yolox())
    squares = np.random.default_rng(2).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    pictures = squares.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)
    people = suppressed = 0
    for ours, theirs in zip(prepared(pictures), published(pictures), strict=True):
        assert ours.boxes.shape == theirs.boxes.shape
        assert np.allclose(ours.boxes, theirs.boxes, atol=1e-4)
        assert np.allclose(ours.scores, theirs.scores, atol=1e-6)
        people += len(ours.boxes)
        suppressed += len(ours.boxes) < sum((SIZE // s) ** 2 for s in LEVELS)
    assert people > 100
    assert suppressed > 20


def test_the_other_classes_are_no_longer_computed(tmp_path: Path) -> None:
    model = prepare_yolox(small_yolox())
    sizes = {weight.name: list(weight.dims) for weight in model.graph.initializer}
    outputs = sorted(
        sizes[node.input[1]][0]
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] in sizes
    )
    assert outputs == [1, 1, 1, 1, 4, 4]  # on each level: a person, something, a box
    assert not any(node.op_type in ("NonMaxSuppression", "TopK") for node in model.graph.node)


def test_other_thresholds_than_those_that_are_repeated_outside_are_refused() -> None:
    with pytest.raises(UnexpectedGraphError, match=r"its suppression has the thresholds \[0.5"):
        prepare_yolox(small_yolox(iou=0.5))


def test_a_network_without_a_suppression_is_refused() -> None:
    model = small_yolox()
    keep = [node for node in model.graph.node if node.op_type != "NonMaxSuppression"]
    del model.graph.node[:]
    model.graph.node.extend(keep)
    with pytest.raises(UnexpectedGraphError, match="0 NonMaxSuppression nodes instead of one"):
        prepare_yolox(model)


def test_an_input_of_another_form_is_refused() -> None:
    model = small_yolox()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    with pytest.raises(
        UnexpectedGraphError, match="its input input is not float32 of shape n×3×height×width"
    ):
        prepare_yolox(model)


@pytest.mark.models
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="there are no photographs in ../shared/photos")
def test_the_real_detector_finds_the_same_people_on_photographs(
    tmp_path: Path, model_store: ModelStore
) -> None:
    file = model_store.path(EMBEDDED["person"])
    published, prepared = detectors(tmp_path, onnx.load(str(file)))
    photographs = [np.asarray(cv2.imread(str(photo)), np.uint8) for photo in sorted(PHOTOS.glob("*.jpg"))]
    pictures = np.stack([letterbox(photograph, (416, 416))[0] for photograph in photographs])
    people = 0
    for ours, theirs in zip(prepared(pictures), published(pictures), strict=True):
        assert ours.boxes.shape == theirs.boxes.shape
        assert np.abs(ours.boxes - theirs.boxes).max() < 0.01
        people += len(ours.boxes)
    assert people > 5
