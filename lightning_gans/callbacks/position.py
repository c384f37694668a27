"""Where a run stands, in Lightning's books, as a function of the batches seen alone."""

from typing import Any

__all__ = ["settle"]


def settle(loop: dict[str, Any], seen: int, batches_per_epoch: int) -> None:
    """Write into the state ``loop`` of a fit loop that ``seen`` batches are done, the next is not.

    Lightning 2.6 goes on exactly from a state taken at the end of a batch within an epoch. From
    those taken at an epoch's last batch, in validation, at an epoch's end or at the end of a run it
    skips or repeats something; so all are written as one of two: within an epoch, or before one.
    """
    epoch, into = divmod(seen, batches_per_epoch)
    within = int(into > 0)
    begun = {"ready": epoch + 1, "started": epoch + within, "processed": epoch, "completed": epoch}
    for counts in loop["epoch_progress"].values():
        counts.update(begun)
    batches = loop["epoch_loop.batch_progress"]
    done = dict.fromkeys(("ready", "started", "processed", "completed"), seen)
    batches["current"].update(dict.fromkeys(done, into))
    if into:
        # The end of a batch within an epoch is not counted yet: Lightning does it on going on.
        batches["current"]["completed"] = into - 1
        batches["total"].update(done, completed=seen - 1)
    else:
        # With all counts equal Lightning would take the epoch to be validated already, and count
        # one step more.
        batches["total"].update(done, processed=seen - 1)
    batches["is_last_batch"] = False
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] = seen - 1
    for counts in loop["epoch_loop.manual_optimization.optim_step_progress"].values():
        counts.update(ready=seen, completed=seen)
    held_out = loop["epoch_loop.val_loop.batch_progress"]
    held_out["is_last_batch"] = False
    for part in ("total", "current"):
        held_out[part].update(ready=0, started=0, processed=0, completed=0)
