"""List prices, for an estimate before money is spent; nothing else reads them.

US dollars an hour in us-central1, without spot or other discounts: https://cloud.google.com/vertex-ai/pricing. What
Vertex AI lists for training is Compute Engine's price of the parts and 15 % more. Compared with its list: n1-standard-4
in October 2026, T4 earlier. The other parts are as Compute Engine listed them before, and were not looked up again.
Machines that are missing here have no estimate: of a2 and a3 machines no list was at hand.

Cloud Run: https://cloud.google.com/run/pricing, of the cheaper regions ("tier 1", such as europe-west4), beyond what is
free. Compared in November 2026: a processor that answers, in both ways of billing, with copies of that list, and a GiB by
the request with what another site says. A GiB by the instance and all that is idle are as they were known before, and were
not looked up again.
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


RUN_DATE = "2026-11"
RUN_BUSY = {False: (0.000024, 0.0000025), True: (0.000018, 0.000002)}
"""Dollars a second for a processor and for a GiB while a request is answered; True: billed by the instance."""
RUN_IDLE = {False: (0.0000025, 0.0000025), True: (0.000018, 0.000002)}
"""The same of an instance that is kept without requests."""


def run_busy(cpu: int, gigabytes: float, *, always: bool) -> float:
    """Return what an instance of Cloud Run costs in an hour in which it answers."""
    return _hour(RUN_BUSY[always], cpu, gigabytes)


def run_idle(cpu: int, gigabytes: float, *, always: bool) -> float:
    """Return what an instance of Cloud Run costs in an hour in which it is kept and not asked."""
    return _hour(RUN_IDLE[always], cpu, gigabytes)


def _hour(second: tuple[float, float], cpu: int, gigabytes: float) -> float:
    return 3600 * (cpu * second[0] + gigabytes * second[1])
