"""Work that Google Cloud does for a while: its states and what it says, watched to its end."""

import sys
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from mlops_cls.errors import ArtifactError
from mlops_cls.google_cloud.api import Api, NoAnswerError, message_of

PATIENCE = 8
"""How often in a row a service may fail to answer while work is watched."""
INTERVAL = 15.0  # seconds


class Logs:
    """What has been said since it was asked for last, in order, by Cloud Logging.

    Args:
        project: whose log it is.
        of: filter that names who says it.
    """

    def __init__(self, project: str, of: str) -> None:
        self._project, self._of = project, of
        self._api: Api | None = Api()
        self._since = ""
        self._known: set[str] = set()

    def new(self) -> Iterator[str]:
        """Yield the new lines; an account that may not read them is told so once."""
        token: str | None = ""
        while token is not None and self._api is not None:
            status, page = self._api.ask("logging", "/v2/entries:list", self._question(token))
            if status != 200:
                print(f"note: the log cannot be read: {message_of(page)}", file=sys.stderr, flush=True)
                self._api = None
                return
            yield from self._lines(page)
            token = page.get("nextPageToken")

    def _question(self, token: str) -> dict[str, Any]:
        since = f' AND timestamp>="{self._since}"' if self._since else ""
        return {
            "resourceNames": [f"projects/{self._project}"],
            "filter": f"{self._of}{since}",
            "orderBy": "timestamp asc",
            "pageSize": 1000,
            **({"pageToken": token} if token else {}),
        }

    def _lines(self, page: dict[str, Any]) -> Iterator[str]:
        for entry in page.get("entries", []):
            # The last moment is asked for again, since more may have come in it.
            if entry["insertId"] in self._known:
                continue
            if entry["timestamp"] != self._since:
                self._since = entry["timestamp"]
            self._known.add(entry["insertId"])
            yield text_of(entry)


def text_of(entry: dict[str, Any]) -> str:
    """Return what an entry of a log says."""
    return str(entry.get("textPayload") or entry.get("jsonPayload", {}).get("message", "")).rstrip()


def watch(state: Callable[[], tuple[str, str]], logs: Logs, *, ended: Collection[str], look: str) -> tuple[str, str]:
    """Print states and what is said, until the end; return the last state and what went wrong, if anything did.

    Args:
        state: asks for both.
        logs: of the same work.
        ended: states after which there are no others.
        look: command that shows it, for whoever is no longer shown it here.

    Raises:
        ArtifactError: Google Cloud did not answer for long.
    """
    said, missed = "", 0
    while True:
        try:
            now, reason = state()
            for line in logs.new():
                print(line, flush=True)
            missed = 0
        except NoAnswerError as error:
            missed += 1
            if missed == PATIENCE:
                raise ArtifactError(f"{error}; the work goes on without being watched: {look}") from error
            time.sleep(min(INTERVAL * 2**missed, 8 * INTERVAL))
            continue
        if now != said:
            print(f"state {now.lower()}", flush=True)
            said = now
        if now in ended:
            return now, reason
        time.sleep(INTERVAL)
