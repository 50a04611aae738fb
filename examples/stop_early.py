"""Print every step, and stop when the loss has halved: `python examples/stop_early.py OUTPUT`.

The loss network has random weights, so that the example needs no download.
"""

import sys

import impasto

losses: list[float] = []


def until_halved(step: impasto.Step) -> bool:
    """Print the loss; returning False stops the run."""
    losses.append(step.loss)
    print(f"step {step.index}: loss {step.loss:.4f} after {step.seconds:.1f} s")
    return step.loss > losses[0] / 2


if len(sys.argv) != 2:
    sys.exit(__doc__)
result = impasto.stylize("woodcut", "mosaic", backbone="tiny", size=128, on_step=until_halved)
result.save(sys.argv[1])
print(f"{result.stopped} after {result.steps} steps")
