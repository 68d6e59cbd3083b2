"""Working a lane: one notification after another goes to the endpoint until it has heard everything.

A call needs a slot of the endpoint, so one that is slow takes few workers from the others; one that
is out of order is called once a minute. What could not be sent now is found again by the lane's or
the endpoint's next wake-up. A notification is stored before it is sent and every result after it,
so a worker that dies leaves at worst one notification that is sent twice.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chalicelib.clock import Clock, Deadline
from chalicelib.domain.jobs import Wake
from chalicelib.domain.log.delta import Delta
from chalicelib.domain.webhooks.circuit import TROUBLED, Circuit
from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.domain.webhooks.webhook import TOLD_STATES, Webhook
from chalicelib.errors import CursorTooOld
from chalicelib.store.ports.accounts import Applications
from chalicelib.store.ports.log import DeltaLog
from chalicelib.store.ports.webhooks import Circuits, Deliveries, Webhooks
from chalicelib.webhooks.delivery import batches, payload, request, retry, signature
from chalicelib.webhooks.delivery import state as standing
from chalicelib.webhooks.delivery.request import Reply, Send
from chalicelib.webhooks.delivery.retry import Step

log = logging.getLogger(__name__)

HELD_SECONDS = 30
BUSY_SECONDS = 10
KEPT_ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    """Works the lanes of endpoints; `jitter` draws a number between two, `now` tells Unix seconds."""

    webhooks: Webhooks
    applications: Applications
    deliveries: Deliveries
    circuits: Circuits
    log: DeltaLog
    send: Send
    jitter: retry.Jitter
    now: Clock

    def work(self, webhook: Webhook, lane: Lane, deadline: Deadline) -> None:
        """Tell an endpoint what is left of a lane, as far as it may be called and takes it.

        Then lanes are worked that found no slot meanwhile.
        """
        following: Lane | None = lane
        while following and self._work_one(webhook, following, deadline):
            key = None if deadline.passed() else self.deliveries.next_waiting(webhook.id)
            following = self.deliveries.lane(webhook.id, key) if key else None

    def _work_one(self, webhook: Webhook, lane: Lane, deadline: Deadline) -> bool:
        """Work a lane; tell whether the endpoint is well and others may follow."""
        now = int(self.now())
        circuit = self.circuits.get(webhook.id)
        if webhook.state not in TOLD_STATES or circuit.resting(now) or self._probed_by_another(lane, circuit):
            return False
        slot = self._slot(webhook, lane, circuit, now)
        if slot is None:
            return False
        going: Lane | None = lane
        call = Call(slot, circuit)
        try:
            while going and not deadline.passed():
                going, call = self._step(webhook, going, call)
        finally:
            self.circuits.leave(webhook.id, slot)
        if going:
            self.deliveries.schedule(_wake(going), int(self.now()))
        return not call.circuit.streak

    def _probed_by_another(self, lane: Lane, circuit: Circuit) -> bool:
        """Tell whether the endpoint is out of order and another lane has a delivery to find out with.

        So an endpoint that is down has as many deliveries begun as it had when it went down.
        """
        if not circuit.broken or lane.key == circuit.probe:
            return False
        probe = self.deliveries.lane(lane.webhook_id, circuit.probe)
        return probe is not None and bool(probe.open)

    def _slot(self, webhook: Webhook, lane: Lane, circuit: Circuit, now: int) -> int | None:
        """Take a slot, or have the lane wait for one.

        Whoever leaves a slot looks for waiting lanes afterwards, so after entering the wait we must look
        for a slot once more. The endpoint's wake-up is the safety net; its time is rounded up, so that
        all who wait share one.
        """
        slot = self.circuits.enter(webhook.id, circuit, now, now + HELD_SECONDS)
        if slot is not None:
            return slot
        wake_endpoint(self.deliveries, webhook, now - now % BUSY_SECONDS + BUSY_SECONDS)
        if circuit.streak:  # out of order: whoever it accepts something from makes the round
            return None
        self.deliveries.wait(_wake(lane))
        return self.circuits.enter(webhook.id, self.circuits.get(webhook.id), now, now + HELD_SECONDS)

    def post(self, webhook: Webhook, body: bytes, id: str) -> Reply:
        """Make one signed request to an endpoint; whatever goes wrong is in the reply."""
        now = int(self.now())
        secrets = self.applications.secrets(webhook.application_id, now)
        return request.post(self.send, webhook, body, signature.headers(secrets, body, id, now), now)

    def _step(self, webhook: Webhook, lane: Lane, call: Call) -> tuple[Lane | None, Call]:
        """Send one notification; return the lane to go on with (None to stop) and the call as it is now."""
        lane, delivery, entries = self._next(webhook, lane)
        if delivery is None:
            return None, call
        if not entries:  # dropped by the log, or asked for by nobody any more
            return self._settled(lane, replace(delivery, state="failed")), call
        reply = self.post(webhook, payload.build(entries), delivery.notification_id)
        call = Call(call.slot, self._note(webhook, lane, call, reply))
        attempts = (*delivery.attempts, reply.attempt)[-KEPT_ATTEMPTS:]
        delivery = replace(delivery, attempts=attempts)
        if reply.refused:
            reason = f"The address is not called: {reply.attempt.error}"
            standing.switch(self.webhooks, webhook, "failed", reason, int(self.now()))
            self._settled(lane, replace(delivery, state="failed"))
            return None, call
        followed = self._follow(webhook, lane, delivery, reply, call.circuit)
        told = standing.judged(self.webhooks, webhook, call.circuit, int(self.now())) in TOLD_STATES
        return (followed if told else None), call

    def _next(self, webhook: Webhook, lane: Lane) -> tuple[Lane, Delivery | None, Sequence[Delta]]:
        """Claim the lane's delivery under way, or begin its next one."""
        now = int(self.now())
        if not lane.open:
            return self._begin(webhook, lane, now)
        found = self.deliveries.get(webhook.id, lane.open)
        if found is None or found.state != "pending":
            closed = replace(lane, open="")
            return (
                (lane, None, ())
                if not self.deliveries.change_lane(lane, closed)
                else self._next(webhook, closed)
            )
        if found.due_at > now:
            return lane, None, ()
        claimed = replace(found, attempt=found.attempt + 1, due_at=now + HELD_SECONDS)
        if not self.deliveries.claim(found, claimed):
            return lane, None, ()
        try:
            return lane, claimed, batches.entries(self.log, webhook, claimed)
        except CursorTooOld:
            return lane, claimed, ()

    def _begin(self, webhook: Webhook, lane: Lane, now: int) -> tuple[Lane, Delivery | None, Sequence[Delta]]:
        """Begin the next delivery of a lane; None if it has caught up or somebody else is at it."""
        stored, lane = lane, batches.bounded(self.log, lane)
        found = batches.page(self.log, webhook, lane)
        while not found.entries and found.last > lane.told:  # only entries that nobody asked for
            lane = replace(lane, told=found.last)
            found = batches.page(self.log, webhook, lane)
        if found.entries:
            delivery = batches.delivery(lane, found, now, now + HELD_SECONDS)
            begun = replace(lane, open=delivery.id)
            if self.deliveries.begin(stored, begun, delivery):
                return begun, delivery, found.entries
        elif lane.replay:
            self.deliveries.close_lane(stored)
        elif lane != stored:
            self.deliveries.change_lane(stored, lane)
        return lane, None, ()

    def _note(self, webhook: Webhook, lane: Lane, call: Call, reply: Reply) -> Circuit:
        """Count an attempt; after too many failures the endpoint rests until this lane's next probe."""
        now = int(self.now())
        until = now + HELD_SECONDS
        if reply.attempt.accepted:
            if call.circuit.broken:
                wake_endpoint(self.deliveries, webhook, now)
            return self.circuits.accepted(webhook.id, call.slot, now, until)
        rest = 0
        if call.circuit.streak + 1 >= TROUBLED:
            rest = now + retry.wait(retry.PROBE_SECONDS, reply.retry_after, self.jitter)
            self.deliveries.schedule(_wake(lane), rest)  # first: a rest that nobody ends would last
            self.deliveries.stop_waiting(webhook.id)  # the round after a recovery takes all lanes
        return self.circuits.refused(webhook.id, call.slot, now, until, rest, lane.key)

    def _follow(
        self, webhook: Webhook, lane: Lane, delivery: Delivery, reply: Reply, circuit: Circuit
    ) -> Lane | None:
        """Store what follows from a reply; return the lane if it may go on at once."""
        now = int(self.now())
        following = retry.decide(delivery.attempt, reply.attempt, circuit, reply.retry_after, self.jitter)
        if following.step is Step.DONE:
            return self._settled(lane, replace(delivery, state="delivered"))
        if following.step is Step.RETRY:
            later = replace(delivery, due_at=now + following.wait)
            self.deliveries.schedule(_wake(lane), later.due_at)
            self.deliveries.record(later)
            return None
        if following.step is Step.HOLD:
            self.deliveries.record(replace(delivery, due_at=now))
            return None
        if following.step is Step.SWITCH_OFF:
            standing.switch(self.webhooks, webhook, "inactive", "It answered 410 Gone.", now)
        log.warning("delivery %s to webhook %s is given up", delivery.id, webhook.id)
        going = self._settled(lane, replace(delivery, state="failed"))
        return None if circuit.resting(now) else going

    def _settled(self, lane: Lane, delivery: Delivery) -> Lane:
        moved = replace(lane, told=max(lane.told, delivery.last_seq), open="")
        self.deliveries.settle(lane, moved, delivery)
        return moved


@dataclass(frozen=True, slots=True)
class Call:
    """The right to call an endpoint, and its circuit as it was when we last looked."""

    slot: int
    circuit: Circuit


def wake_endpoint(deliveries: Deliveries, webhook: Webhook, at: int) -> None:
    """Have every lane of an endpoint looked at, at a time (Unix seconds)."""
    deliveries.schedule(Wake(webhook_id=webhook.id, application_id=webhook.application_id, lane=""), at)


def _wake(lane: Lane) -> Wake:
    return Wake(webhook_id=lane.webhook_id, application_id=lane.application_id, lane=lane.key)
