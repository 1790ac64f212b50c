"""Which of the older clients are answered too."""

from collections.abc import Sequence
from itertools import combinations

from fastapi import APIRouter, FastAPI

from mlops_cls.errors import ConfigError, unknown_name
from mlops_cls.service.compat import dog_breed, emotion, fmnist, seabed, skin_lesion
from mlops_cls.service.engine import Part
from mlops_cls.service.routes import predict

SYSTEMS = {
    "seabed": seabed.router,
    "skin_lesion": skin_lesion.router,
    "fmnist": fmnist.router,
    "emotion": emotion.router,
    "dog_breed": dog_breed.router,
}
PARTS: dict[str, Part] = {"skin_lesion": skin_lesion.check}


def add_compat(app: FastAPI, names: Sequence[str]) -> None:
    """Add the routes of these systems, and our own ``POST /predict`` unless one of them adds to its answer.

    Raises:
        ConfigError: no such system, or two of them want different answers at the same place.
    """
    for name in names:
        if name not in SYSTEMS:
            raise unknown_name("--compat", name, SYSTEMS)
    chosen = {name: SYSTEMS[name] for name in names}
    for (one, first), (other, second) in combinations(chosen.items(), 2):
        if both := _places(first) & _places(second):
            raise ConfigError(f"--compat {one},{other}: both answer {' and '.join(sorted(both))}; give one of them")
    if not any(_places(router) & _places(predict.single) for router in chosen.values()):
        app.include_router(predict.single)
    for name, router in chosen.items():
        app.include_router(router)
        if name in PARTS:
            app.state.service.parts.append(PARTS[name])


def _places(router: APIRouter) -> set[str]:
    return {f"{method} {route.path}" for route in router.routes for method in route.methods}  # type: ignore[attr-defined]
