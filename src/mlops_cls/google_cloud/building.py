"""A build of images, as Cloud Build wants it: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlops_cls.errors import ConfigError, unknown_name

REPOSITORY = re.compile(r"(?P<place>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[a-z0-9.:-]+)/(?P<name>[a-z0-9-]+)")
IMAGES = ("train", "api")
"""Each has a file in dockerfiles/."""
ACCELERATED = ("train",)
"""Those that are built for one kind of processor or another."""
ACCELERATORS = ("cuda", "cpu")
MACHINES = {
    "e2-medium": "E2_MEDIUM",
    "e2-standard-2": "E2_STANDARD_2",
    "e2-highcpu-8": "E2_HIGHCPU_8",
    "e2-highcpu-32": "E2_HIGHCPU_32",
}
BUILDER = "gcr.io/cloud-builders/docker"
DISK = 100
"""Gigabytes: CUDA's libraries take several, in each layer that holds them on the way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Building:
    """Images of a commit, for a repository of Artifact Registry."""

    repository: str
    images: Sequence[str]
    commit: str
    accelerator: str = "cuda"
    machine: str = "e2-highcpu-8"
    minutes: int = 60

    def check(self) -> None:
        """Refuse what the API's types would let through.

        Raises:
            ConfigError: naming the option.
        """
        if not REPOSITORY.fullmatch(self.repository):
            raise ConfigError(f"--repository {self.repository} is no REGION-docker.pkg.dev/PROJECT/REPOSITORY")
        for image in self.images:
            if image not in IMAGES:
                raise unknown_name("image", image, IMAGES)
        if self.accelerator not in ACCELERATORS:
            raise unknown_name("--accelerator", self.accelerator, ACCELERATORS)
        if self.machine not in MACHINES:
            raise unknown_name("--machine", self.machine, MACHINES)
        if self.minutes > 24 * 60:
            raise ConfigError(f"--minutes {self.minutes} is impossible: 1440, a day, is the most")

    @property
    def tag(self) -> str:
        return self.commit[:12]

    def names(self, image: str) -> list[str]:
        """Return what an image is called: by its commit, which stays, and as the latest."""
        return [f"{self.repository}/{image}:{tag}" for tag in (self.tag, "latest")]

    def build(self) -> dict[str, Any]:
        """Return the Build, without its source; all images are built at once, and pushed when all are."""
        return {
            "steps": [self._step(image) for image in self.images],
            "images": [name for image in self.images for name in self.names(image)],
            "timeout": f"{60 * self.minutes}s",
            "options": {
                "machineType": MACHINES[self.machine],
                "diskSizeGb": str(DISK),
                "logging": "CLOUD_LOGGING_ONLY",
            },
            "tags": ["mlops-cls", self.tag],
        }

    def _step(self, image: str) -> dict[str, Any]:
        arguments = {"COMMIT": self.commit} | ({"ACCELERATOR": self.accelerator} if image in ACCELERATED else {})
        return {
            "id": image,
            "name": BUILDER,
            "waitFor": ["-"],
            # Layers are kept apart by BuildKit, and its caches of packages are left out of them.
            "env": ["DOCKER_BUILDKIT=1"],
            "args": [
                "build",
                f"--file={file_of(image)}",
                *(f"--build-arg={name}={value}" for name, value in arguments.items()),
                *(f"--tag={name}" for name in self.names(image)),
                ".",
            ],
        }


def file_of(image: str) -> str:
    """Return the file that an image is built by."""
    return f"dockerfiles/{image}.dockerfile"
