"""Save and restore what an optimizer remembers of earlier steps, so that an interrupted run can continue."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from impasto.types import State


class Stateful:
    """An object that continues from what another object with the same settings remembered.

    Results are the same bit for bit as if there had been one object only.
    """

    remembered: ClassVar[tuple[str, ...]]
    """Names of the attributes that depend on earlier steps: tensors, plain values, and objects of this kind."""

    def state_dict(self) -> State:
        """Return the values of these attributes; tensors are not copied, and the next step may change them."""
        values = {name: vars(self)[name] for name in self.remembered}
        return {name: each.state_dict() if isinstance(each, Stateful) else each for name, each in values.items()}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned; tensors are moved to the device of those that they replace.

        The state is emptied: its tensors are large, and the next step replaces them.
        """
        for name in self.remembered:
            value, current = state.pop(name), vars(self)[name]
            if isinstance(current, Stateful):
                current.load_state_dict(value)
            else:
                vars(self)[name] = value.to(current.device) if isinstance(current, Tensor) else value
