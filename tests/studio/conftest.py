"""One server for all tests of the studio; its first result was stored before the server started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_studio import Studio, open_studio, run_small_experiment
from support import TIMEOUT

from impasto.studio.service import StudioService

ADDRESS = "http://192.0.2.7:7860/?token=a-token-of-thirty-two-characters"
"""Address of the studio for other machines; it does not exist (RFC 5737)."""


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A running studio with one result, beside a small experiment."""
    folder = tmp_path_factory.mktemp("studio")
    run_small_experiment(folder / "small")
    earlier = StudioService.open(folder / "studio")
    settings = {"backbone": "tiny", "size": 64, "steps": 3}
    key = earlier.queue.submit(earlier.make_request("woodcut", ["mosaic"], "gatys", settings))
    assert earlier.queue.wait(key, TIMEOUT).status == "done"
    earlier.queue.close()
    with open_studio(folder / "studio", address=ADDRESS) as studio:
        yield studio


@pytest.fixture(scope="session")
def earlier_key(studio: Studio) -> str:
    """Key of the result that was stored before the server started."""
    return studio.service.history.entries()[-1].key
