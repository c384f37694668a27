"""How sure a classifier is of each sample and how unsure of them all."""

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional.measured import Measured

__all__ = ["classifier_score"]


def classifier_score(
    logits: Float[Tensor, "n classes"], splits: int = 10, seed: int = 0
) -> Measured:
    """Mean of exp(E KL(p(y|x) || p(y))) over splits (Salimans et al., 2016).

    It is the inception score where the classifier is Inception; each split's is in [1, classes].

    Args:
        logits: A classifier's logits; of probabilities p, give ``p.log()``.
        splits: Equal parts of the shuffled samples, which differ by one where they must.
        seed: Of the shuffle, by an own random generator.

    Returns:
        The mean with Student's interval over splits, None of a single one.

    Raises:
        InputError: There are fewer samples than splits, fewer than 1 split, or a row has nan or
            +infinity or nothing but -infinity.
    """
    n = len(logits)
    if not 1 <= splits <= n:
        raise InputError(f"splits is {splits}; it must be 1 to {n}, the number of samples")
    probabilities = logits.double().softmax(1)
    wrong = int(probabilities.isnan().any(1).sum())
    if wrong:
        raise InputError(f"the logits of {wrong} of {n} samples are no probabilities")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    shuffled = probabilities[order.to(logits.device)]
    parts = [shuffled[i * n // splits : (i + 1) * n // splits] for i in range(splits)]
    scores = torch.stack([(_entropy(part.mean(0)) - _entropy(part).mean()).exp() for part in parts])
    value = scores.mean().item()
    if splits == 1:
        return Measured(value, None, n)
    reach = _student(splits - 1) * scores.std().item() / splits**0.5
    return Measured(value, None, n, value - reach, value + reach)


def _student(freedom: int) -> float:
    """97.5 % of Student's t lie below."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def _entropy(probabilities: Tensor) -> Tensor:
    return torch.special.entr(probabilities).sum(-1)
