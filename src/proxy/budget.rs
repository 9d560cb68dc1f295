//! How much memory kept bodies may take, all together (`sends.copy_budget`). Beyond it, bodies pass without being kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory for bodies that are kept, shared by all workers.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(super) const fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }
}

/// A part of the budget, given back when dropped.
pub(super) struct Reserved {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reserved {
    /// Nothing yet.
    pub(super) const fn none(budget: Arc<Budget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Takes so many bytes more; `false` where they are not to be had.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        if self.budget.used.fetch_add(bytes, Ordering::Relaxed) + bytes > self.budget.max {
            self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
