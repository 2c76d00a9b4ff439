"""`rtmlib-backend preannotate`: what it says, what it leaves behind, and its exit codes."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.cli.app import app
from adapters.cli.preannotate import CANNOT_GO_ON, SOME_FAILED
from adapters.http.example import EXAMPLE_LABEL_CONFIG, example_picture
from adapters.label_studio.client import api
from adapters.label_studio.client.retry import RetryPolicy
from adapters.settings import SettingsError
from runners.models.store import ModelStore
from tests.support.clips import Walker, walking
from tests.support.label_studio_stub import TOKEN, Fault, LabelStudioStub, label_studio_in_thread


@pytest.fixture
def label_studio() -> Iterator[LabelStudioStub]:
    """Label Studio with three tasks."""
    with label_studio_in_thread(label_config=EXAMPLE_LABEL_CONFIG) as stub:
        stub.tasks = {number: {"image": example_picture()} for number in (1, 2, 3)}
        yield stub


class Command:
    """The command in this process."""

    def __init__(self, report: Path) -> None:
        self._report = report

    def __call__(self, *options: str) -> Result:
        return CliRunner().invoke(app, ["preannotate", *options])

    def reported(self, *options: str) -> tuple[int, dict[str, object]]:
        code = self("--report", str(self._report), *options).exit_code
        return code, json.loads(self._report.read_text("utf-8"))


@pytest.fixture
def preannotate(
    label_studio: LabelStudioStub, model_store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(model_store.root))
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "200")
    return Command(tmp_path / "report.json")


@pytest.mark.models
class TestInProcess:
    def test_tasks_get_what_the_service_would_answer(
        self, preannotate: Command, label_studio: LabelStudioStub
    ) -> None:
        result = preannotate("--project", "1")

        assert result.exit_code == 0, result.output
        assert "3 predictions created" in result.output
        assert {task: len(found) for task, found in label_studio.versions().items()} == {1: 1, 2: 1, 3: 1}
        kinds = {region["type"] for region in label_studio.predictions[1]["result"]}
        assert kinds == {"rectanglelabels", "keypointlabels"}

    def test_clips_are_followed_as_in_the_service(
        self, preannotate: Command, label_studio: LabelStudioStub
    ) -> None:
        label_studio.label_config = (
            '<View><Video name="video" value="$video" frameRate="25"/><VideoRectangle name="box" toName="video"/>'
            '<Labels name="labels" toName="video"><Label value="person"/></Labels></View>'
        )
        clip = base64.b64encode(walking([Walker(lambda t: 200.0)], 0.4)).decode()
        label_studio.tasks = {1: {"video": f"data:video/mp4;base64,{clip}"}}
        code, report = preannotate.reported("--project", "1")

        assert (code, report["failures"]) == (0, [])
        assert [region["type"] for region in label_studio.predictions[1]["result"]] == ["videorectangle"]

    def test_what_failed_is_said_with_its_reason_and_decides_the_exit_code(
        self, preannotate: Command, label_studio: LabelStudioStub
    ) -> None:
        label_studio.tasks[2] = {"image": "/data/upload/1/gone.jpg"}
        label_studio.tasks[3] = {"picture": "a column that the label config does not name"}
        code, report = preannotate.reported("--project", "1")

        assert code == SOME_FAILED
        assert (report["created"], report["failed"], report["left"]) == (1, 2, 0)
        failures = {failure["task"]: failure["reason"] for failure in report["failures"]}  # type: ignore[attr-defined]
        assert failures == {2: "not_found", 3: "no_picture"}

    def test_a_dry_run_only_counts(self, preannotate: Command, label_studio: LabelStudioStub) -> None:
        result = preannotate("--project", "1", "--dry-run")

        assert result.exit_code == 0, result.output
        assert "3 tasks, 0 have a prediction of rtmlib-embedded-" in result.output
        assert label_studio.predictions == {}

    def test_what_the_label_config_lacks_is_said_labels_that_are_unknown_too(
        self, preannotate: Command, label_studio: LabelStudioStub
    ) -> None:
        label_studio.label_config = (
            '<View><Image name="image" value="$image"/><KeyPointLabels name="points" toName="image">'
            '<Label value="nose"/><Label value="left_wirst"/></KeyPointLabels></View>'
        )
        result = preannotate("--project", "1", "--dry-run")

        assert "label config: " in result.output
        assert "left_wirst" in result.output

    def test_a_connected_model_of_another_version_is_warned_of(
        self, preannotate: Command, label_studio: LabelStudioStub
    ) -> None:
        label_studio.connected = ["rtmlib-balanced-76543210"]
        result = preannotate("--project", "1", "--dry-run")

        assert "has version rtmlib-balanced-76543210" in result.output
        assert "--backend" in result.output


class TestWhatCannotWork:
    def test_no_project_of_this_number(self, preannotate: Command) -> None:
        code, report = preannotate.reported("--project", "7")

        assert code == CANNOT_GO_ON
        assert "Project 7 does not exist" in str(report["ended_by"])

    def test_a_label_config_that_is_none(self, preannotate: Command, label_studio: LabelStudioStub) -> None:
        label_studio.label_config = "<View"
        result = preannotate("--project", "1")

        assert result.exit_code == CANNOT_GO_ON
        assert result.stdout == "", "there is nothing to sum up"
        assert "label config" in result.stderr

    def test_label_studio_is_away(
        self, preannotate: Command, label_studio: LabelStudioStub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api, "RetryPolicy", lambda: RetryPolicy(attempts=2, first_pause_s=0.01))
        label_studio.faults.extend([Fault("GET", "/api/projects", None)] * 9)
        result = preannotate("--project", "1")

        assert result.exit_code == CANNOT_GO_ON
        assert f"Label Studio at {label_studio.url} is unreachable. Retrying" in result.output

    def test_no_label_studio(self, preannotate: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("LABEL_STUDIO_API_TOKEN")
        result = preannotate("--project", "1")

        assert "LABEL_STUDIO_API_TOKEN" in str(result.exception)

    def test_a_token_that_ends_in_five_minutes(
        self, preannotate: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claims = base64.urlsafe_b64encode(b'{"token_type": "access"}').decode().rstrip("=")
        monkeypatch.setenv("LABEL_STUDIO_API_TOKEN", f"e30.{claims}.c2ln")
        result = preannotate("--project", "1")

        assert isinstance(result.exception, SettingsError), "the command line makes a sentence of it"
        assert "is an access token" in str(result.exception)

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (("--view", "1", "--task", "2"), "choose a view or tasks"),
            (("--shard", "4/4"), "there is no shard 4/4"),
            (("--backend", "localhost:9090"), "http://host:9090"),
            (("--backend", "http://"), "http://host:9090"),
            (("--backend", "http://host:port"), "http://host:9090"),
            (("--report", "no-such-folder/report.json"), "no folder no-such-folder"),
            (("--at-once", "0"), "at-once"),
        ],
    )
    def test_options_that_contradict(self, preannotate: Command, options: tuple[str, ...], says: str) -> None:
        result = preannotate("--project", "1", *options)

        assert result.exit_code == 2
        assert says in result.output
