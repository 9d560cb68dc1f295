//! The send path's end of the store: one lane for each single-threaded runtime.
//!
//! Waiting costs one wake-up per batch and lane, not one per waiter: the writer leaves word in the lane's mailbox, and the lane's own task
//! wakes the waiters on their own thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::queue::Queued;
use crate::clock::instant;
use crate::domain::ledger::Entry;

/// Where the writer leaves word for a lane.
#[derive(Default)]
pub(super) struct Mailbox {
    /// "All tickets up to this one are durable, or are not", in ascending order.
    words: Mutex<VecDeque<(u64, bool)>>,
    arrived: Notify,
}

impl Mailbox {
    pub(super) fn tell(&self, upto: u64, durable: bool) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        match words.back_mut() {
            Some(last) if last.1 == durable => last.0 = upto,
            Some(_) | None => words.push_back((upto, durable)),
        }
        drop(words);
        self.arrived.notify_one();
    }

    fn collect(&self) -> VecDeque<(u64, bool)> {
        std::mem::take(&mut self.words.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Records entries from one thread. Cheap to clone, stays on its thread.
#[derive(Clone)]
pub struct Lane(Rc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    index: usize,
    waiters: RefCell<VecDeque<Waiter>>,
    /// Will the lane's task look at the clock by itself?
    armed: Cell<bool>,
}

struct Waiter {
    ticket: u64,
    deadline: Instant,
    slot: Rc<Slot>,
}

#[derive(Default)]
struct Slot {
    durable: Cell<Option<bool>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    fn settle(&self, durable: bool) {
        self.durable.set(Some(durable));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Lane {
    pub(super) fn open(shared: Arc<Shared>) -> Self {
        let (index, mailbox) = shared.lanes.add();
        let inner = Rc::new(Inner {
            shared,
            mailbox: Arc::clone(&mailbox),
            index,
            waiters: RefCell::default(),
            armed: Cell::new(false),
        });
        tokio::task::spawn_local(settle(Rc::downgrade(&inner), mailbox));
        Self(inner)
    }

    /// Records an entry, waiting for at most `store.commit_wait`. `true` only once the commit that holds it has succeeded; `false`
    /// promises nothing: it may be recorded later. One missed wait, or a store that is not there, and later calls do not wait until the
    /// writer has answered again.
    pub async fn record(&self, entry: Entry) -> bool {
        let inner = &*self.0;
        if !inner.shared.health.is_recording() {
            self.note(entry);
            inner.shared.health.unrecorded(1);
            return false;
        }
        let Some(ticket) = inner.shared.queue.push(entry, Some(inner.index)) else {
            inner.shared.health.lost(1, "the queue is full");
            inner.shared.health.unrecorded(1);
            return false;
        };
        let durable = inner.wait(ticket).await;
        if !durable {
            inner.shared.health.unrecorded(1);
        }
        durable
    }

    /// Hands an entry in without waiting.
    pub fn note(&self, entry: Entry) {
        let counts = !matches!(entry, Entry::Begun(_));
        if self.0.shared.queue.push(entry, None).is_none() && counts {
            self.0.shared.health.lost(1, "the queue is full");
        }
    }
}

impl Inner {
    fn wait(&self, ticket: u64) -> impl Future<Output = bool> + use<> {
        let slot = Rc::new(Slot::default());
        let deadline = instant() + self.shared.settings.commit_wait;
        self.waiters.borrow_mut().push_back(Waiter { ticket, deadline, slot: Rc::clone(&slot) });
        if !self.armed.get() {
            self.mailbox.arrived.notify_one();
        }
        poll_fn(move |context| match slot.durable.get() {
            Some(durable) => Poll::Ready(durable),
            None => {
                *slot.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
    }

    fn deliver(&self) {
        for (upto, durable) in self.mailbox.collect() {
            let mut waiters = self.waiters.borrow_mut();
            while waiters.front().is_some_and(|waiter| waiter.ticket <= upto) {
                if let Some(waiter) = waiters.pop_front() {
                    waiter.slot.settle(durable);
                }
            }
        }
    }

    /// Gives up those who have waited long enough.
    fn expire(&self, now: Instant) {
        let mut waiters = self.waiters.borrow_mut();
        while waiters.front().is_some_and(|waiter| waiter.deadline <= now) {
            if let Some(waiter) = waiters.pop_front() {
                self.shared.health.bypass();
                waiter.slot.settle(false);
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.mailbox.arrived.notify_one();
    }
}

/// Wakes a lane's waiters. Waiters come in the order of their deadlines, so one timer serves them all; while it is armed, nobody has to
/// wake this task for a new waiter.
async fn settle(lane: Weak<Inner>, mailbox: Arc<Mailbox>) {
    let mut alarm: Option<Instant> = None;
    loop {
        match alarm {
            None => mailbox.arrived.notified().await,
            Some(at) => tokio::select! {
                () = mailbox.arrived.notified() => {}
                () = sleep_until(at) => alarm = None,
            },
        }
        let Some(lane) = lane.upgrade() else { return };
        lane.deliver();
        if alarm.is_none() {
            lane.expire(instant());
            alarm = lane.waiters.borrow().front().map(|waiter| waiter.deadline);
            lane.armed.set(alarm.is_some());
        }
    }
}

/// All lanes, as the writer knows them.
#[derive(Default)]
pub(super) struct Lanes(Mutex<Vec<Arc<Mailbox>>>);

impl Lanes {
    fn add(&self) -> (usize, Arc<Mailbox>) {
        let mailbox = Arc::new(Mailbox::default());
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.push(Arc::clone(&mailbox));
        (lanes.len() - 1, mailbox)
    }

    /// Leaves word in each lane that waits for one of `entries`.
    pub(super) fn tell(&self, entries: &[Queued], durable: bool) {
        let Some(last) = entries.last() else { return };
        let lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = vec![false; lanes.len()];
        for queued in entries {
            if let Some(lane) = queued.lane
                && !std::mem::replace(&mut told[lane], true)
            {
                lanes[lane].tell(last.ticket, durable);
            }
        }
    }
}
