"""Google Cloud: ``python -m mlops_cls.cloud vertex experiment=resnet18 --gpu t4 --dry-run``."""

from importlib import import_module

from mlops_cls.cli import run_verb
from mlops_cls.errors import unknown_name

VERBS = {
    "vertex": "train on Vertex AI: the job is checked, priced, submitted and watched",
    "run": "serve a bundle on Cloud Run: a new revision is asked before it gets the traffic, and can be taken back",
    "build": "build and push the images of this checkout by Cloud Build",
    "alerts": "tell people when a service on Cloud Run fails, is slow, drifts or logs an error",
    "doctor": "what a project lacks for it, each with the command that mends it",
    "bucket": "make a bucket that keeps versions and clears them away",
}
"""Each a file of `google_cloud`."""


def main(arguments: list[str]) -> None:
    """Run ``cloud VERB ...``, or list the verbs."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return
    verb, *rest = arguments
    if verb not in VERBS:
        raise unknown_name("cloud", verb, VERBS)
    import_module(f"mlops_cls.google_cloud.{verb}").main(rest)


def _overview() -> str:
    lines = [f"  {verb:<8}{line}" for verb, line in VERBS.items()]
    example = "  python -m mlops_cls.cloud vertex --help"
    return "\n".join(["python -m mlops_cls.cloud VERB ...", "", *lines, "", "such as", example])


if __name__ == "__main__":
    run_verb(main)
