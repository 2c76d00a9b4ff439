"""The settings of a deployment: one class, read from environment variables."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    DirectoryPath,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from adapters.cache.redis_address import RedisAddress, parse_redis_url
from adapters.connections import environment_proxy, read_proxy, tls_context
from adapters.http.guards.cross_origin import as_origin
from adapters.http.guards.hosts import as_host_pattern
from adapters.label_studio.client.credentials import token_kind
from adapters.observability.logs import LogFormat
from adapters.pictures.fetching.guard import AddressPolicy
from adapters.pictures.fetching.label_studio_site import LabelStudioSite
from adapters.pictures.limits import PictureLimits
from adapters.time_limits import TIME_LIMITS
from adapters.video.limits import CLIPS_IN_HAND, ClipLimits
from runners.config import EngineSetting, Mode, PrecisionSetting

MEBIBYTE = 2**20


class SettingsError(Exception):
    """A setting is wrong; the message says which, why, and what is allowed."""


class Settings(BaseSettings):
    """Settings, each from the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    backend_port: int = Field(9090, ge=1, le=65535, description="Port of the service.")
    backend_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated names under which browsers reach this service, such as `pose.example.org` or "
        "`*.example.org`. Needed only without a password, for names with dots: IP addresses, `localhost`, names of "
        "one word and the machine's own are always allowed. Label Studio and other programs may use any name.",
    )
    mode: Mode = Field(
        "embedded",
        description="Networks: `embedded` (weights from the Python package index only), `lightweight`, `balanced` or "
        "`performance` (RTMW, as in rtmlib).",
    )
    detector_model: str | None = Field(
        None,
        description="Person detector instead of the mode's: path or http(s) address of a YOLOX or RTMDet in ONNX, or "
        "of a zip archive with an `end2end.onnx`. A suffix `#sha256=<hex>` pins the network.",
    )
    pose_model: str | None = Field(
        None,
        description="Pose network instead of the mode's, in the same form: RTMPose, DWPose or RTMW with 17 (COCO), "
        "26 (Halpe) or 133 (COCO-WholeBody) keypoints.",
    )
    device: str = Field(
        "cpu",
        description="Device: `cpu`, `cuda` (all NVIDIA GPUs, with a worker of each network on each), `cuda:N` (one of "
        "them), `gpu`, `gpu:N` (OpenVINO's graphics processors) or `mps` (Apple).",
    )
    backend_type: EngineSetting = Field(
        "auto",
        description="Inference engine. `auto`: OpenVINO for networks in bf16 on the CPU, ONNX Runtime for the others.",
    )
    precision: PrecisionSetting = Field(
        "auto",
        description="Precision: `exact` (32-bit floats), `auto` (for each network the fastest precision measured "
        "to keep its keypoints) or `fast` (the fastest available, less accurate).",
    )
    confidence_threshold: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Lowest score of a returned keypoint, unless the label config sets another.",
    )
    max_people: int | None = Field(
        None,
        ge=1,
        description="Most people of a predicted picture, the largest first, unless the label config sets another "
        "(`model_max_people`); by default all. Labeling pages get slow with thousands of regions.",
    )
    model_cache_dir: Path | None = Field(
        None, description="Folder of the model files; by default the platform's cache folder."
    )
    model_digests: Path | None = Field(
        None,
        description="File of the required digests of the networks, written by `rtmlib-backend models pin`. By default "
        "this project's digests; for other networks, that of the first download.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Lowest level of log lines."
    )
    log_format: LogFormat = Field(
        "auto",
        description="Format of log lines: one JSON object per line, or text. `auto` is text on a terminal, else JSON.",
    )
    debug: bool = Field(False, description="Log everything, whatever LOG_LEVEL is.")
    label_studio_url: str | None = Field(
        None, description="Address of Label Studio as this service reaches it, for uploaded pictures."
    )
    label_studio_aliases: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated other addresses of the same Label Studio, such as the one in annotators' "
        "browsers: `http://localhost:8080, https://label-studio.example.org`. Pictures at these addresses are "
        "requested from LABEL_STUDIO_URL, with the token. `rtmlib-backend doctor --project N` finds them. http and "
        "https of one host are one, if both have their default port.",
    )
    label_studio_api_token: SecretStr | None = Field(
        None,
        description="Personal access token (or legacy token) of a Label Studio user with access to the pictures.",
    )
    basic_auth_user: str | None = Field(None, description="User name that Label Studio must send.")
    basic_auth_pass: SecretStr | None = Field(None, description="Password that Label Studio must send.")
    allowed_image_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated picture hosts on private networks: `host`, `host:port`, `*.example.org` or "
        "`10.0.0.0/8`. Public addresses and LABEL_STUDIO_URL are always allowed.",
    )
    image_proxy: SecretStr | None = Field(
        None,
        description="HTTP proxy for pictures at public addresses: `http://user:password@proxy:3128`. Names are checked "
        "here before the proxy resolves them itself: use one that refuses private addresses. Hosts on private networks "
        "that ALLOWED_IMAGE_HOSTS allows are reached without it. Label Studio "
        "and model downloads use `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` instead.",
    )
    ssl_cert_file: FilePath | None = Field(
        None,
        description="PEM file of your own certificate authorities. They are trusted in addition to the public ones, "
        "for pictures, Label Studio, a running backend and model downloads.",
    )
    local_files_document_root: DirectoryPath | None = Field(
        None, description="Label Studio's folder of local files, if it is mounted here too."
    )
    max_image_bytes: int = Field(PictureLimits.max_bytes, ge=1, description="Largest picture file, in bytes.")
    max_image_pixels: int = Field(
        PictureLimits.max_pixels,
        ge=1,
        description="Largest picture, in pixels (width × height). Decoding may take 4 bytes of memory per pixel, at "
        "least 400 MB. Formats that need more, such as transparent or progressive ones, have a lower limit.",
    )
    max_video_bytes: int = Field(
        100 * MEBIBYTE,
        ge=1,
        description="Largest clip file, in bytes. Two are in memory at a time.",
    )
    max_video_pixels: int = Field(
        ClipLimits.max_pixels,
        ge=1,
        description="Largest frame of a clip, in pixels (width × height). Decoding may take 30 bytes of memory per "
        "pixel, at least 280 MB.",
    )
    max_request_bytes: int = Field(
        64 * MEBIBYTE,
        ge=1024,
        description="Largest body of a prediction request, in bytes; larger ones get 413. Other routes accept 8 MiB.",
    )
    time_budget_seconds: float = Field(
        TIME_LIMITS.budget_s,
        ge=1,
        le=TIME_LIMITS.budget_s,
        description="Seconds after which a request is answered with its finished tasks. The others are `[]`, and are "
        "predicted when they are requested again. Label Studio's timeout is 100 s; a gateway with a shorter one "
        "needs a lower value.",
    )
    prediction_cache_bytes: int = Field(
        64 * MEBIBYTE,
        ge=0,
        description="Memory of the prediction cache, in bytes; 0 switches it off.",
    )
    cors_allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated origins (`https://tools.example.org`) whose pages may send requests from a "
        "browser. Label Studio sends its requests from its server and needs none.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis for a prediction cache that several servers share: `redis://host:6379/0`, "
        "`rediss://user:password@host:6379/0?ssl_ca_certs=/path` (TLS) or `unix:///path/to/redis.sock`. "
        "One Redis or a proxy, not the nodes of a cluster. Without an answer, predictions are computed.",
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator(
        "backend_hosts", "label_studio_aliases", "allowed_image_hosts", "cors_allowed_origins", mode="before"
    )
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"cpu|(cuda|gpu)(:\d+)?|mps", value):
            raise ValueError("must be cpu, cuda, cuda:N, gpu, gpu:N or mps")
        return value

    @field_validator("label_studio_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None:
            LabelStudioSite.at(value)
        return value

    @field_validator("label_studio_api_token")
    @classmethod
    def _possible_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            token_kind(value.get_secret_value().strip())
        return value

    @field_validator("allowed_image_hosts")
    @classmethod
    def _readable_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        AddressPolicy.of(None, value)
        return value

    @field_validator("image_proxy")
    @classmethod
    def _readable_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            read_proxy("IMAGE_PROXY", value.get_secret_value())
        return value

    @field_validator("ssl_cert_file")
    @classmethod
    def _readable_certificates(cls, value: Path | None) -> Path | None:
        try:
            tls_context()
        except OSError as error:
            raise ValueError(f"has no certificates in PEM form ({error.strerror or error})") from None
        return value

    @field_validator("backend_hosts")
    @classmethod
    def _host_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(as_host_pattern(text) for text in value)

    @field_validator("cors_allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(as_origin(text) for text in value)

    @field_validator("redis_url")
    @classmethod
    def _readable_redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_redis_url(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _complete(self) -> "Settings":
        if (self.basic_auth_user is None) != (self.basic_auth_pass is None):
            raise ValueError("BASIC_AUTH_USER and BASIC_AUTH_PASS must be set together")
        if self.label_studio_api_token is not None and self.label_studio_url is None:
            raise ValueError("LABEL_STUDIO_API_TOKEN is of no use without LABEL_STUDIO_URL")
        if self.label_studio_aliases and self.label_studio_url is None:
            raise ValueError("LABEL_STUDIO_ALIASES is of no use without LABEL_STUDIO_URL")
        if self.label_studio_url is not None:
            LabelStudioSite.at(self.label_studio_url, self.label_studio_aliases)
            environment_proxy(self.label_studio_url)
        return self

    @property
    def effective_log_level(self) -> str:
        """The least level of log lines, DEBUG considered."""
        return "DEBUG" if self.debug else self.log_level

    @property
    def redis_address(self) -> RedisAddress | None:
        """Where the Redis of REDIS_URL is."""
        return parse_redis_url(self.redis_url.get_secret_value()) if self.redis_url else None

    @property
    def picture_limits(self) -> PictureLimits:
        """What one picture may cost."""
        return PictureLimits(max_bytes=self.max_image_bytes, max_pixels=self.max_image_pixels)

    @property
    def video_limits(self) -> PictureLimits:
        """What fetching one clip may cost."""
        return PictureLimits(max_bytes=self.max_video_bytes, downloads=CLIPS_IN_HAND)


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: A value is wrong. The message never shows a value, which may be a secret.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue] - the fields come from the environment
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors(include_input=False, include_url=False))
        raise SettingsError(f"Wrong settings: {problems}.") from None


def _problem(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    where = ".".join(str(part) for part in item["loc"]).upper()
    if not where or message.startswith(where):
        return message.rstrip(".")
    return f"{where}: {message[:1].lower()}{message[1:]}"
