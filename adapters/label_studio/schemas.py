"""The bodies of Label Studio's requests and of the responses.

Label Studio sends more fields than are read here, and its versions differ: unknown fields are ignored, and null means
"not given". Secrets are `SecretStr`, so no log or error message can show them.
"""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SecretStr,
    Strict,
)
from pydantic_core import CoreSchema, core_schema

MAX_TASKS = 10_000
"""Largest number of tasks in one request. "Retrieve predictions" sends the whole selection at once."""

MAX_IDENTIFIER = 200
"""Longest id of a task or project, which log lines and the status contain. Label Studio's have about 20 characters."""


def null_as_object(value: object) -> object:
    """Return an empty object for null, which Label Studio sends as well."""
    return {} if value is None else value


def null_as_text(value: object) -> object:
    """Return an empty text for null."""
    return "" if value is None else value


# Strict, or pydantic would read a text of a thousand digits as an integer.
Identifier = (
    Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63)] | Annotated[str, Field(max_length=MAX_IDENTIFIER)]
)
JsonObject = Annotated[
    dict[str, Any], BeforeValidator(null_as_object, json_schema_input_type=dict[str, Any] | None)
]
Text = Annotated[str, BeforeValidator(null_as_text, json_schema_input_type=str | None)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


def _objects_only(value: object) -> object:
    """Skip other values: predictions may be numbers, and none of these objects is required to predict."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType] - JSON


Works = Annotated[list[dict[str, Any]], BeforeValidator(_objects_only, json_schema_input_type=Any)]


class Task(_Body):
    """A task: its id, its data, and for smart tools its drafts, annotations and predictions."""

    id: Identifier | None = Field(None, examples=[7])
    data: JsonObject = Field(
        default_factory=dict,
        examples=[{"image": "https://example.com/photo.jpg"}],
        description="The task's data.",
    )
    drafts: Works = Field(
        default_factory=list[dict[str, Any]], description="Read for requests of smart tools only."
    )
    annotations: Works = Field(default_factory=list[dict[str, Any]], description="Likewise.")
    predictions: Works = Field(default_factory=list[dict[str, Any]], description="Likewise.")


class PredictParams(_Body):
    """The parameters of a prediction request."""

    login: SecretStr | None = None
    password: SecretStr | None = None
    context: JsonObject = Field(
        default_factory=dict,
        description="For smart tools: the drawn region and the other regions of its tag, in `result`.",
        examples=[{}],
    )


class PredictRequest(_Body):
    """Body of `POST /predict`."""

    tasks: list[Task] = Field(max_length=MAX_TASKS)
    project: Identifier | None = Field(None, examples=["4.1795417339"])
    label_config: Text = Field(
        "",
        description="The project's label config (XML).",
        examples=[
            '<View><Image name="image" value="$image"/><RectangleLabels name="person" toName="image">'
            '<Label value="person"/></RectangleLabels><KeyPointLabels name="keypoints" toName="image">'
            '<Label value="nose"/></KeyPointLabels></View>'
        ],
    )
    params: Annotated[
        PredictParams, BeforeValidator(null_as_object, json_schema_input_type=PredictParams | None)
    ] = Field(default_factory=lambda: PredictParams.model_validate({}))


class SetupRequest(_Body):
    """Body of `POST /setup`."""

    project: Identifier | None = Field(None, examples=["4.1795417339"])
    label_config: Text = Field(
        "",
        alias="schema",
        description="The project's label config (XML).",
        examples=['<View><Image name="image" value="$image"/></View>'],
    )
    hostname: Text = Field("", examples=["https://label-studio.example.com"])
    access_token: SecretStr | None = None


class _Named(_Body):
    id: Annotated[int, Strict()] | None = None


class _NoneIfOther:
    """Reads values of another type as null, without parsing their content."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default=None, on_error="default")

    def __get_pydantic_json_schema__(self, _: CoreSchema, __: GetJsonSchemaHandler) -> dict[str, Any]:
        return {}


Named = Annotated[_Named | None, _NoneIfOther()]
"""The id of an object of any form and size: nothing else of it becomes a Python object."""

NamedMany = Annotated[_Named | Annotated[list[Named], Field(max_length=1_000)] | None, _NoneIfOther()]
"""Likewise, of one object or of a list."""


class WebhookRequest(_Body):
    """Body of `POST /webhook`: any JSON object. The fields of an event depend on its action."""

    action: str | None = Field(None, examples=["ANNOTATION_CREATED"])
    project: Named = None
    annotation: NamedMany = None
    task: NamedMany = None


class RegionBody(_Body):
    """A region of a prediction: a box, a keypoint, a line of bones, or a box through a clip."""

    id: str
    parent_id: str | None = Field(None, alias="parentID", description="Id of the box of the same person.")
    from_name: str
    to_name: str
    type: str = Field(examples=["keypointlabels"])
    value: dict[str, Any] = Field(
        examples=[{"x": 30.0, "y": 15.0, "width": 0.35, "keypointlabels": ["nose"]}],
        description="Position and size in percent of the upright picture; of a clip, at each of its key frames.",
    )
    score: float = Field(ge=0, le=1)
    original_width: int | None = Field(None, description="Width of the picture in pixels; clips have none.")
    original_height: int | None = None
    image_rotation: int | None = None
    item_index: int | None = Field(None, ge=0, description="Index of its frame, in tasks with several.")
    meta: dict[str, Any] | None = Field(
        None,
        examples=[{"text": ["p0"], "uncertainty": 0.2}],
        description="Of a person's box: a note, and the uncertainty of the keypoints, 0 to 1.",
    )


class PredictionBody(_Body):
    """The prediction for one task."""

    model_version: str = Field(examples=["rtmlib-embedded-1a2b3c4d"])
    score: float = Field(ge=0, le=1, description="Mean confidence of the keypoints; 0 without people.")
    result: list[RegionBody]


class FailureBody(_Body):
    """Why a task has no prediction."""

    task: Identifier | None = Field(examples=[7], description="The task's id; null if it has none.")
    reason: str = Field(examples=["not_found"], description="One of the words in docs/operation.md.")
    detail: str = Field(description="A sentence that says what to do.")
    frames_done: int | None = Field(
        None,
        ge=0,
        description="Finished frames of a task that ran out of time; a retry takes them from the cache.",
    )


class PredictResponse(_Body):
    """Response to `POST /predict`: one slot per task, in the same order; `[]` for a failed task."""

    results: list[PredictionBody | Annotated[list[Any], Field(max_length=0)]]
    failures: list[FailureBody] = Field(
        description="One entry for each `[]` in `results`, in the same order."
    )


class SetupResponse(_Body):
    """Response to `POST /setup`."""

    model_version: str = Field(examples=["rtmlib-embedded-1a2b3c4d"])
