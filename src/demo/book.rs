//! What the bot did, written down by the bot itself: the other side of what the store says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::order::Order;

/// How an order ended for the bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not yet.
    Open,
    /// WAHA took the message.
    Told,
    /// All attempts failed.
    GivenUp,
}

/// One order and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) order: Order,
    pub(super) attempts: u32,
    pub(super) ending: Ending,
}

/// All orders, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Vec<Page>>);

/// Names a page of the book.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageNumber(usize);

impl Book {
    /// Takes the next order.
    pub(super) fn next_order(&self) -> (PageNumber, Order) {
        let mut pages = self.lock();
        let order = Order::nth(pages.len() + 1);
        pages.push(Page { order: order.clone(), attempts: 0, ending: Ending::Open });
        (PageNumber(pages.len() - 1), order)
    }

    /// An attempt is about to be made.
    pub(super) fn attempt(&self, page: PageNumber) {
        if let Some(page) = self.lock().get_mut(page.0) {
            page.attempts += 1;
        }
    }

    pub(super) fn end(&self, page: PageNumber, ending: Ending) {
        if let Some(page) = self.lock().get_mut(page.0) {
            page.ending = ending;
        }
    }

    /// How many orders are neither told nor given up.
    pub(super) fn open(&self) -> usize {
        self.lock().iter().filter(|page| page.ending == Ending::Open).count()
    }

    pub(super) fn pages(&self) -> Vec<Page> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
