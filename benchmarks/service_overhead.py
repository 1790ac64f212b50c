"""What the service adds to a picture's way through the network: ``python benchmarks/service_overhead.py RUN/bundle``.

One client sends one JPEG after another over a connection that stays open. In turn with that, in this process, the same
picture is decoded, and goes through a session of its own at batch 1, with as many threads. A round's overhead is the
median of its requests less both medians; what is reported is the median of the rounds, with their quartiles. 20 rounds
take half a minute. At most 5 ms.
"""

import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import pairs
from clients import Question, label_of
from questions import pictures_of, questions_of
from served import serving

from mlops_cls.backends.choice import open_backend
from mlops_cls.backends.kinds import DEFAULT
from mlops_cls.bundle import Bundle
from mlops_cls.predictor import Predictor

REQUEST, DECODE, SESSION, OVERHEAD = "request", "decoding", "session.run", "overhead"
MOST, WARM_UP = 5.0, 10


def over_http(connection: HTTPConnection, asked: Question) -> None:
    """Send a picture and read the answer, which must be the right one."""
    head, _, body = asked.wire.partition(b"\r\n\r\n")
    media = next(line for line in head.decode().split("\r\n") if line.startswith("Content-Type: "))
    connection.request("POST", "/predict", body, {"Content-Type": media.removeprefix("Content-Type: ")})
    response = connection.getresponse()
    answer = response.read()
    assert response.status == asked.status and label_of(answer) == asked.label, answer


def milliseconds(call: Callable[[], object], calls: int) -> float:
    """Return the median of some calls."""
    taken = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - start))
    return median(taken)


def main(arguments: list[str] | None = None) -> None:
    """Take all in turn, report, and exit with 1 where the overhead is more than `MOST`."""
    parser = pairs.parser_of(__file__, __doc__, rounds=20)
    parser.add_argument("model", type=Path, metavar="BUNDLE")
    parser.add_argument("--backend", default=DEFAULT)
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="JPEGs to send, instead of the bundle's samples"
    )
    parser.add_argument("--calls", type=int, default=15, help="of each in a round (15)")
    options = parser.parse_args(arguments)
    asked = questions_of(options.model, pictures_of(options.model, options.pictures), options.backend)[0]
    predictor = Predictor.load(options.model)
    session = open_backend(Bundle.open(options.model), options.backend)
    images = np.ascontiguousarray(predictor.fit(asked.picture).transpose(2, 0, 1)[None])
    with serving(options.backend, options.model) as served:
        connection = HTTPConnection("127.0.0.1", served.port)
        sides: dict[str, Callable[[], object]] = {
            REQUEST: lambda: over_http(connection, asked),
            DECODE: lambda: predictor.fit(asked.picture),
            SESSION: lambda: session.embed(images),
        }
        for side in sides.values():
            milliseconds(side, WARM_UP)
        rounds = [
            {name: milliseconds(side, options.calls) for name, side in sides.items()} for _ in range(options.rounds)
        ]
    for each in rounds:
        each[OVERHEAD] = each[REQUEST] - each[DECODE] - each[SESSION]
    rows = []
    for name in (*sides, OVERHEAD):
        low, middle, high = quantiles([each[name] for each in rounds], n=4)
        rows.append([name, middle, f"{low:.2f} to {high:.2f}"])
    text = pairs.markdown(["what", "p50 ms", "quartiles of the rounds"], rows)
    kept = rows[-1][1] < MOST
    pairs.report(options, f"{text}\n\n- {'kept' if kept else 'NOT KEPT'}: overhead below {MOST:g} ms", rounds=rounds)
    sys.exit(not kept)


if __name__ == "__main__":
    main()
