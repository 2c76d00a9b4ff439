"""How settings become runners: the same for the service's command and the commands that run in process."""

from adapters.settings import Settings
from runners.config import RunnerConfig
from runners.cpus import usable_cpus


def runner_config(settings: Settings) -> RunnerConfig:
    """Return what the runners need to know."""
    return RunnerConfig(
        mode=settings.mode,
        device=settings.device,
        threads=usable_cpus(),
        cache_dir=settings.model_cache_dir,
        digests=settings.model_digests,
        engine=settings.backend_type,
        precision=settings.precision,
        detector_model=settings.detector_model,
        pose_model=settings.pose_model,
    )
