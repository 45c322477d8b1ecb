"""What becomes of a batch that has come back, or was lost: outcomes reach their futures, in order.

This runs in the batch's color, in the parent process, as a step of a turn; so what done-callbacks,
the exception handler and dead letters do is a part of the color, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from colorsched.core.handle import tell
from colorsched.errors import CannotTravel, WorkerLost
from colorsched.events import Ran, Ticket
from colorsched.executors.slots.inside import FAILED, PLAIN
from colorsched.executors.slots.jobs import DeadLetter
from colorsched.executors.slots.travel import describe
from colorsched.ports import here

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from colorsched.executors.slots.jobs import Batch, Job
    from colorsched.executors.slots.travel import Travel

#: A job whose slot dies before it begins anything is sent again so often: the job is not to blame,
#: but a slot that cannot even start would be replaced for ever.
STARTS = 3


class RemoteTraceback(Exception):  # noqa: N818 - it is the cause of an error: where that was raised
    """The traceback of an error that was raised in a slot, as text."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace

    def __str__(self) -> str:
        return f'\n"""\n{self.trace}"""'


@frozen
class Settler:
    """Tells who waits what became of jobs.

    ``post``: posts what a callback in a slot has posted.
    """

    travel: Travel
    failed: Callable[[BaseException], None]
    post: Callable[[Hashable, Any, str], None]

    def settle(self, batch: Batch) -> list[Job]:
        """Tell the outcomes of a batch. The jobs that are to run (again), in order."""
        answer = batch.answer
        posts = answer.posts
        for place, (job, kind, data) in enumerate(
            zip(batch.jobs, answer.kinds, answer.data, strict=False)
        ):
            if kind == PLAIN and place not in posts and not isinstance(job.fn, Ticket):
                if job.future is not None:
                    self._finish(job, job.future.set_result, data)
            else:
                self._told(batch, job, place)
        rest = batch.jobs[len(answer.kinds) :]
        if batch.lost is not None:
            return self._lost(batch, rest)
        if batch.failed is not None:
            for job in rest:
                self._fail(job, batch.failed)
            return []
        return rest

    # -- outcomes ---------------------------------------------------------------------------------

    def _told(self, batch: Batch, job: Job, place: int) -> None:
        answer = batch.answer
        result = answer.data[place]
        kind = answer.kinds[place]
        error: BaseException | None = None
        try:
            if kind == FAILED:
                error = self._error(job, result)
            elif kind != PLAIN:
                result = self.travel.unpack(result)
        except BaseException as trouble:  # noqa: BLE001 - whatever unpickling raises is for who waits
            reason = describe(trouble)
            error = CannotTravel(f"the outcome of {job.name} cannot be read here: {reason}")
        before, here.ticket = here.ticket, self._tell(batch, job, place, error)
        try:
            for key, call, name in answer.posts.get(place, ()):
                try:
                    self.post(self.travel.unpack(key), call, name)
                except BaseException as trouble:  # noqa: BLE001 - too late, or no key: see _finish
                    tell(self.failed, trouble, job.context)
            if error is not None:
                self._fail(job, error)
            elif job.future is not None:
                self._finish(job, job.future.set_result, result)
        finally:
            here.ticket = before

    def _error(self, job: Job, failure: Any) -> BaseException:
        packed, text, trace = self.travel.unpack(failure)
        if packed is None:
            error: BaseException = CannotTravel(
                f"{job.name} raised {text}; the error itself cannot be sent back from its slot"
            )
        else:
            error = self.travel.unpack(packed)
        if error.__traceback__ is None:  # it was made anew: say where it was raised
            error.__cause__ = RemoteTraceback(trace)
        return error

    def _tell(
        self, batch: Batch, job: Job, place: int, error: BaseException | None
    ) -> Ticket | None:
        """Tell the observer that it ran. Its ticket, if there is one."""
        ticket = job.fn
        if not isinstance(ticket, Ticket):
            return None
        began, ended = batch.answer.times[place : place + 2]
        lead = batch.lead()
        ran = Ran(batch.slot.index, began - lead, ended - lead)
        ticket.observer.ran(ticket, ran, error)
        return ticket

    def _fail(self, job: Job, error: BaseException) -> None:
        if job.future is not None:
            self._finish(job, job.future.set_exception, error)
            return
        if isinstance(job.fn, Ticket):
            here.failed = job.fn
        tell(self.failed, error, job.context)

    def _finish(self, job: Job, finish: Callable[[Any], None], outcome: object) -> None:
        """Give a future its outcome. What done-callbacks raise must not keep others from theirs."""
        try:
            finish(outcome)
        except BaseException as trouble:  # noqa: BLE001 - a future lets those through that exit
            tell(self.failed, trouble, job.context)

    # -- losses -----------------------------------------------------------------------------------

    def _lost(self, batch: Batch, jobs: list[Job]) -> list[Job]:
        """Decide what becomes of the jobs of a lost batch; those to run again."""
        color = repr(batch.color.key)
        if batch.came is None:
            # All may have run. Who is to blame is known only if it was alone.
            ended, begun = 0, len(jobs)
            blame = 1 if begun == 1 else 0
            running = f"one of {begun} callbacks in color {color}"
        else:
            ended, begun = batch.came
            blame = begun
            running = f"{jobs[begun - 1].name} in color {color}" if begun > ended else "nothing"
        again: list[Job] = []
        for place, job in enumerate(jobs, start=1):
            # A slot that began something could start: who is behind that is sent again and again.
            job.starts = 0 if begun else job.starts + 1
            if place > begun:
                keep = job.starts < STARTS
                known = f"{job.name} was to run in {STARTS} slots, and none of them began it"
            else:
                job.losses += place == blame
                keep = job.retry is not None and job.losses <= job.retry.times
                known = self._known(job, ended=place <= ended)
            if keep:
                again.append(job)
            else:
                detail = f"{known}: its slot was lost while it ran {running} ({batch.lost})"
                self._give_up(batch, job, WorkerLost(running, detail))
        return again

    def _known(self, job: Job, *, ended: bool) -> str:
        if ended:
            return f"{job.name} ran to its end, and its outcome is lost"
        if job.losses > 1:
            return f"{job.name} was begun {job.losses} times, and nobody knows how far it came"
        return f"nobody knows how far {job.name} came"

    def _give_up(self, batch: Batch, job: Job, error: WorkerLost) -> None:
        ticket = job.fn if isinstance(job.fn, Ticket) else None
        before, here.ticket = here.ticket, ticket
        try:
            if ticket is not None:
                ticket.observer.dropped(ticket, "lost")
            if job.retry is not None and job.retry.dead_letter is not None:
                try:
                    fn, args, kwargs, _ = self.travel.unpack_call(job.call)
                    letter = DeadLetter(batch.color.key, fn, args, kwargs, job.losses, error)
                    job.context.run(job.retry.dead_letter, letter)
                except BaseException as trouble:  # noqa: BLE001 - must not keep others from theirs
                    tell(self.failed, trouble, job.context)
            self._fail(job, error)
        finally:
            here.ticket = before
