"""List prices, for an estimate before money is spent; nothing else reads them.

US dollars an hour in us-central1, without spot or other discounts: https://cloud.google.com/vertex-ai/pricing. What
Vertex AI lists for training is Compute Engine's price of the parts and 15 % more. Compared with its list: n1-standard-4
in October 2026, T4 earlier. The other parts are as Compute Engine listed them before, and were not looked up again.
Machines that are missing here have no estimate.
"""

SOURCE, DATE = "https://cloud.google.com/vertex-ai/pricing", "2026-10"
FEE = 1.15
CORE = {"n1": 0.031611, "e2": 0.021811, "g2": 0.024988}
GIGABYTE = {"n1": 0.004237, "e2": 0.002923, "g2": 0.002927}
GPU = {"t4": 0.35, "l4": 0.56004, "p4": 0.60, "p100": 1.46, "v100": 2.48}


def machine_price(family: str, cores: int, gigabytes: float) -> float | None:
    """Return what a machine costs without GPUs."""
    if family not in CORE:
        return None
    return FEE * (cores * CORE[family] + gigabytes * GIGABYTE[family])


def gpu_price(gpu: str) -> float | None:
    """Return what one GPU costs."""
    return FEE * GPU[gpu] if gpu in GPU else None
