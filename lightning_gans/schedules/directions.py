"""Which way: optimism (Daskalakis et al., 2018), conjugate gradients (Naganuma and Iiduka, 2023).

Both act around torch's own optimizers: the first corrects the step of SGD or Adam, the second
gives them another direction than the gradient. An optimizer sees one player's gradients, so every
direction goes with every schedule and update.
"""

from collections.abc import Callable, Iterable, Sequence
from inspect import unwrap
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer

from lightning_gans.errors import InputError

__all__ = ["ConjugateAdam", "ConjugateDirection", "OptimisticAdam", "OptimisticSGD", "Rule"]

Rule = Literal["FR", "PR+", "HS", "DY"]
"""How a conjugate direction weighs the one before; see ``BETAS``."""

Vector = Sequence[Tensor]
"""A vector in the space of all of a player's parameters, a tensor for each of them."""


class _Around(Optimizer):
    """A mixin that does something around the step of the torch optimizer it precedes."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the parameters that have a gradient; returns what ``closure`` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if movers := self._movers():
            # Bare of its decorators: they would run the user's hooks a second time.
            inner_step = unwrap(super().step.__func__)
            self._step_around(movers, lambda: inner_step(self))
        return loss

    def _movers(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"] if p.grad is not None]

    def _step_around(self, movers: list[Tensor], inner_step: Callable[[], Any]) -> None:
        raise NotImplementedError

    def _recall(self, movers: list[Tensor], key: str) -> list[Tensor]:
        """What was last kept for each mover; zeros before the first step."""
        known = [self.state.get(p, {}).get(key) for p in movers]
        return [
            torch.zeros_like(p) if tensor is None else tensor
            for p, tensor in zip(movers, known, strict=True)
        ]

    def _keep(self, movers: list[Tensor], key: str, tensors: Vector) -> None:
        # After the inner step only: Adam takes a state that is not empty for its own.
        for p, tensor in zip(movers, tensors, strict=True):
            self.state[p][key] = tensor


class _Optimistic(_Around):
    """w <- w + 2 u_t - u_{t-1}, where u_t is the inner optimizer's step and u_0 = 0."""

    def _step_around(self, movers: list[Tensor], inner_step: Callable[[], Any]) -> None:
        steps = torch._foreach_neg(movers)
        inner_step()
        torch._foreach_add_(steps, movers)
        torch._foreach_add_(movers, steps)
        torch._foreach_sub_(movers, self._recall(movers, "previous_step"))
        self._keep(movers, "previous_step", steps)


class OptimisticSGD(_Optimistic, SGD):
    """Optimistic gradient descent (Daskalakis et al., 2018): w <- w - 2 lr g_t + lr g_{t-1}.

    The step taken back is the one that was made, at the learning rate of its time.

    Args:
        params: What to move.
        lr: Step size; the simultaneous bilinear game theta * psi converges below 1 / sqrt(3).

    Raises:
        ValueError: A setting that torch's SGD refuses.
    """

    def __init__(self, params: Iterable, lr: float) -> None:
        super().__init__(params, lr=lr)


class OptimisticAdam(_Optimistic, Adam):
    """Optimistic Adam (Daskalakis et al., 2018): twice Adam's step less its previous one.

    The settings are torch.optim.Adam's.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps)


def dot(x: Vector, y: Vector) -> Tensor:
    """Inner product () over all tensors, left on the device."""
    return torch.stack([product.sum() for product in torch._foreach_mul(x, y)]).sum()


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient (), 0 where it is not finite; left on the device."""
    quotient = numerator / denominator
    return torch.where(quotient.isfinite(), quotient, 0)


def fletcher_reeves(g: Vector, g_prev: Vector, d_prev: Vector) -> Tensor:
    """Beta of Fletcher and Reeves (1964): g.g / g_prev.g_prev."""
    return _ratio(dot(g, g), dot(g_prev, g_prev))


def polak_ribiere_plus(g: Vector, g_prev: Vector, d_prev: Vector) -> Tensor:
    """Beta of Polak and Ribiere (1969), cut at 0: max(0, g.(g - g_prev) / g_prev.g_prev)."""
    return _ratio(dot(g, torch._foreach_sub(g, g_prev)), dot(g_prev, g_prev)).clamp(min=0)


def hestenes_stiefel(g: Vector, g_prev: Vector, d_prev: Vector) -> Tensor:
    """Beta of Hestenes and Stiefel (1952): g.(g - g_prev) / d_prev.(g - g_prev)."""
    change = torch._foreach_sub(g, g_prev)
    return _ratio(dot(g, change), dot(d_prev, change))


def dai_yuan(g: Vector, g_prev: Vector, d_prev: Vector) -> Tensor:
    """Beta of Dai and Yuan (1999): g.g / d_prev.(g - g_prev)."""
    return _ratio(dot(g, g), dot(d_prev, torch._foreach_sub(g, g_prev)))


BETAS: dict[str, Callable[[Vector, Vector, Vector], Tensor]] = {
    "FR": fletcher_reeves,
    "PR+": polak_ribiere_plus,
    "HS": hestenes_stiefel,
    "DY": dai_yuan,
}
"""Beta () of each rule, from the gradient, the previous gradient and the previous direction."""


def _set_gradients(parameters: list[Tensor], gradients: Vector) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient


class _Conjugate(_Around):
    """Hands the inner optimizer -d_t for a gradient, where d_t = -g_t + beta_t d_{t-1}."""

    def _set(self, rule: str | float, restart: bool) -> None:
        """Add our settings to torch's, which are copied, saved and restored."""
        known = rule in BETAS if isinstance(rule, str) else -1 < rule < 1
        if not known:
            names = ", ".join(BETAS)
            raise InputError(f"rule is {rule!r}; choose {names} or a number between -1 and 1")
        for settings in (self.defaults, *self.param_groups):
            settings.update(rule=rule, restart=restart)

    @torch.no_grad()
    def directions(self) -> list[Tensor]:
        """d_t of every parameter that has a gradient, in their order; nothing is changed."""
        if not (movers := self._movers()):
            return []
        rule, restart = self.param_groups[0]["rule"], self.param_groups[0]["restart"]
        g = [p.grad for p in movers]
        d_prev = self._recall(movers, "previous_direction")
        if isinstance(rule, str):
            beta = BETAS[rule](g, self._recall(movers, "previous_gradient"), d_prev)
        else:
            beta = g[0].new_full((), rule)
        if restart:
            # g.d < 0 for d = -g + beta d_prev; false for a beta that is not a number.
            beta = torch.where(beta * dot(g, d_prev) < dot(g, g), beta, 0)
        d = torch._foreach_mul(d_prev, beta)
        torch._foreach_sub_(d, g)
        return list(d)

    def _step_around(self, movers: list[Tensor], inner_step: Callable[[], Any]) -> None:
        d = self.directions()
        g = [p.grad for p in movers]
        _set_gradients(movers, torch._foreach_neg(d))
        inner_step()
        _set_gradients(movers, g)
        # Copies: the next gradient may be written into the memory of this one.
        self._keep(movers, "previous_gradient", [gradient.clone() for gradient in g])
        self._keep(movers, "previous_direction", d)


class ConjugateDirection(_Conjugate, SGD):
    """Conjugate gradient steps (Naganuma and Iiduka, 2023): w <- w + lr d, d = -g + beta d_prev.

    Beta is one for all parameters and groups. On a quadratic with exact line search it ends in as
    many steps as there are distinct eigenvalues; in a game nothing is promised. On mini-batches the
    rules have no upper bound for beta, so rates that suit SGD may diverge. A number for
    ``rule`` without ``restart`` is heavy-ball momentum, 0 is SGD.

    Args:
        params: What to move.
        lr: Step size along the direction.
        rule: Beta of Fletcher-Reeves, Polak-Ribiere+, Hestenes-Stiefel or Dai-Yuan, or beta itself.
        restart: Forget the previous direction when d would not descend: beta = 0 if g.d >= 0.

    Raises:
        InputError: ``rule`` is not known, or not between -1 and 1.
        ValueError: A setting that torch's SGD refuses.
    """

    def __init__(
        self, params: Iterable, lr: float, rule: Rule | float = "PR+", restart: bool = True
    ) -> None:
        super().__init__(params, lr=lr)
        self._set(rule, restart)


class ConjugateAdam(_Conjugate, Adam):
    """Adam given -d of ``ConjugateDirection`` (Naganuma and Iiduka, 2023) for a gradient.

    Args:
        params: What to move.
        lr: Step size.
        betas: Of Adam's averages of the direction and of its square.
        eps: Added to the root of the latter.
        rule: Beta of Fletcher-Reeves, Polak-Ribiere+, Hestenes-Stiefel or Dai-Yuan, or beta itself.
        restart: Forget the previous direction when d would not descend: beta = 0 if g.d >= 0.

    Raises:
        InputError: ``rule`` is not known, or not between -1 and 1.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        rule: Rule | float = "PR+",
        restart: bool = True,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps)
        self._set(rule, restart)
