//! Who waits on one of the proxy's threads, and for how long: one list with one timer for all. A timer of its own and a place in a list that
//! all threads share would cost a send more than most of what is done for it.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::instant;

/// Those who wait on one thread.
#[derive(Debug, Default)]
pub(super) struct Waits {
    list: RefCell<List>,
    /// Somebody's time is over before the keeper would look.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct List {
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// When the keeper looks next; `None` where nobody's time is limited.
    looks_at: Option<Instant>,
    called_off: bool,
}

#[derive(Debug, Default)]
struct Slot {
    until: Option<Instant>,
    late: bool,
    waker: Option<Waker>,
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Its time is.
    Late,
    /// All of them are.
    CalledOff,
}

/// One who waits; struck off the list when dropped.
#[derive(Debug)]
pub(super) struct Wait {
    waits: Rc<Waits>,
    at: usize,
}

impl Waits {
    /// One more, who may wait until all are called off.
    pub(super) fn enter(self: &Rc<Self>) -> Wait {
        let mut list = self.list.borrow_mut();
        let at = list.free.pop().unwrap_or_else(|| {
            list.slots.push(Slot::default());
            list.slots.len() - 1
        });
        Wait { waits: Rc::clone(self), at }
    }

    /// Looks after the list until `end`, which calls off whoever waits then or later.
    pub(super) async fn keep(self: Rc<Self>, end: CancellationToken) {
        let mut end = std::pin::pin!(end.cancelled());
        loop {
            let looks_at = self.list.borrow().looks_at;
            let alarm = async {
                match looks_at {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = end.as_mut() => return self.list.borrow_mut().call_off(),
                () = self.sooner.notified() => {}
                () = alarm => self.list.borrow_mut().look(instant()),
            }
        }
    }
}

impl List {
    fn look(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if slot.until.is_some_and(|until| until <= now) {
                (slot.until, slot.late) = (None, true);
                slot.wake();
            }
        }
        self.looks_at = self.slots.iter().filter_map(|slot| slot.until).min();
    }

    fn call_off(&mut self) {
        self.called_off = true;
        self.slots.iter_mut().for_each(Slot::wake);
    }
}

impl Slot {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Wait {
    /// It waits for so long from now on.
    pub(super) fn limit(&self, span: Duration) {
        let until = instant() + span;
        let mut list = self.waits.list.borrow_mut();
        list.slots[self.at].until = Some(until);
        if list.looks_at.is_none_or(|at| until < at) {
            list.looks_at = Some(until);
            self.waits.sooner.notify_one();
        }
    }

    /// Its time is not limited any more.
    pub(super) fn unlimit(&self) {
        let slot = &mut self.waits.list.borrow_mut().slots[self.at];
        (slot.until, slot.late) = (None, false);
    }

    /// Ready once the wait is over.
    pub(super) async fn over(&self) -> Over {
        poll_fn(|cx| self.poll_over(cx)).await
    }

    fn poll_over(&self, cx: &Context<'_>) -> Poll<Over> {
        let mut list = self.waits.list.borrow_mut();
        if list.called_off {
            return Poll::Ready(Over::CalledOff);
        }
        let slot = &mut list.slots[self.at];
        if slot.late {
            return Poll::Ready(Over::Late);
        }
        match &slot.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            Some(_) | None => slot.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut list = self.waits.list.borrow_mut();
        list.slots[self.at] = Slot::default();
        list.free.push(self.at);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A list and who calls it off, on a clock that stands.
    fn on_a_thread(story: impl AsyncFnOnce(Rc<Waits>, CancellationToken)) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let (waits, end) = (Rc::<Waits>::default(), CancellationToken::new());
            tokio::task::spawn_local(Rc::clone(&waits).keep(end.clone()));
            story(waits, end).await;
        });
    }

    #[test]
    fn each_is_late_at_its_own_time() {
        on_a_thread(async |waits, _| {
            let begun = instant();
            let (long, short, free) = (waits.enter(), waits.enter(), waits.enter());
            long.limit(9 * SECOND);
            tokio::task::yield_now().await;
            short.limit(SECOND);
            assert_eq!(short.over().await, Over::Late);
            assert_eq!(instant() - begun, SECOND);
            assert_eq!(long.over().await, Over::Late);
            assert_eq!(instant() - begun, 9 * SECOND);
            assert!(timeout(60 * SECOND, free.over()).await.is_err());
        });
    }

    #[test]
    fn whose_time_is_not_limited_any_more_is_not_late() {
        on_a_thread(async |waits, _| {
            let wait = waits.enter();
            wait.limit(SECOND);
            wait.unlimit();
            assert!(timeout(60 * SECOND, wait.over()).await.is_err());
            wait.limit(SECOND);
            advance(2 * SECOND).await;
            assert_eq!(wait.over().await, Over::Late);
        });
    }

    #[test]
    fn all_are_called_off_and_places_are_used_again() {
        on_a_thread(async |waits, end| {
            let (first, gone) = (waits.enter(), waits.enter());
            gone.limit(SECOND);
            drop(gone);
            let second = waits.enter();
            assert!(timeout(5 * SECOND, second.over()).await.is_err(), "another's time");
            assert_eq!(waits.list.borrow().slots.len(), 2);
            end.cancel();
            assert_eq!(first.over().await, Over::CalledOff);
            assert_eq!(waits.enter().over().await, Over::CalledOff);
            drop(second);
        });
    }
}
