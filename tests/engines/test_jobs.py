"""The order in which the queue of a run hands out its jobs."""

from __future__ import annotations

from slashbench.bench.engines.jobs import Job, JobQueue
from slashbench.bench.plan.matrix import Request, plan

FIRST, SECOND = "digits-mlp:steps=5", "digits-mlp:steps=6"


def queue(models: str, recipes: str, codecs: str = "pack") -> JobQueue:
    """Return a queue of which nothing has been made."""
    request = Request(models=models, recipes=recipes, codecs=codecs, seeds="0")
    return JobQueue(plan(request).cells, made=lambda key: False)


def told(jobs: list[Job | None]) -> list[str]:
    """Return kind and model of jobs, `none` where there was none."""
    return [f"{job.kind} {job.cell.model.text}" if job else "none" for job in jobs]


def test_beside_a_training_another_model_comes_first() -> None:
    left = queue(f"{FIRST},{SECOND}", "plain,backslash")
    assert told([left.work() for _ in range(5)]) == [
        f"checkpoint {FIRST}",
        f"checkpoint {SECOND}",
        f"checkpoint {FIRST}",  # nothing else is left to do
        f"checkpoint {SECOND}",
        "none",
    ]


def test_a_checkpoint_is_made_once_and_its_cells_come_next() -> None:
    left = queue(f"{FIRST},{SECOND}", "plain,plain+prune:sparsity=0.5", "pack,huffman")
    first, second = left.work(), left.work()
    assert told([first, second]) == [f"checkpoint {FIRST}", f"checkpoint {SECOND}"]
    assert left.work() is None  # all wait for these two
    assert first is not None
    left.finished(first, "done")
    job = left.work()
    assert told([job]) == [f"size {FIRST}"]
    assert job is not None
    assert job.cell.recipe.text == first.cell.recipe.text


def test_none_is_lost_and_none_comes_twice() -> None:
    left = queue(f"{FIRST},{SECOND}", "plain,backslash,plain+prune:sparsity=0.5", "pack,huffman")
    sized = []
    while (job := left.work()) is not None:
        if job.kind == "size":
            sized.append(str(job.cell))
        left.finished(job, "sized" if job.kind == "size" else "done")
    assert len(sized) == len(set(sized)) == 12
    while left.timing() is not None:
        sized.pop()
    assert not sized
    assert left.empty
