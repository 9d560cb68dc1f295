//! How many sends are with WAHA at once. Beyond that the next one waits a moment for another to end, and takes over its connection: each
//! connection costs some fifty KiB, and where WAHA answers at once, more of them make nothing faster. Where it does not, few wait, and not for
//! long.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// So many at once, per worker, wait for nobody: more than WAHA works on at a time.
const AT_ONCE: usize = 32;
/// So long the next one waits at the most; then it goes all the same.
const PATIENCE: Duration = Duration::from_millis(20);

/// Lets sends pass to WAHA, a few at a time as far as that costs them little.
#[derive(Debug)]
pub(super) struct Turnstile {
    places: Semaphore,
    /// Nobody has waited in vain since there was a place for the asking.
    worthwhile: Cell<bool>,
}

impl Default for Turnstile {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), worthwhile: Cell::new(true) }
    }
}

impl Turnstile {
    /// Passes. Whoever comes next may once what is returned is dropped.
    pub(super) async fn pass(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.places.try_acquire() {
            self.worthwhile.set(true);
            return Some(place);
        }
        if !self.worthwhile.get() {
            return None;
        }
        let Ok(place) = timeout(PATIENCE, self.places.acquire()).await else {
            self.worthwhile.set(false);
            return None;
        };
        place.ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    async fn full(turnstile: &Turnstile) -> Vec<SemaphorePermit<'_>> {
        let mut inside = Vec::new();
        for _ in 0..AT_ONCE {
            inside.push(turnstile.pass().await.unwrap());
        }
        inside
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_pass_at_once_and_the_next_when_one_of_them_is_through() {
        let turnstile = Turnstile::default();
        let begun = Instant::now();
        let mut inside = full(&turnstile).await;
        let (next, ()) = tokio::join!(turnstile.pass(), async { drop(inside.pop()) });
        assert!(next.is_some());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn where_waiting_is_in_vain_one_waits_and_the_others_do_not() {
        let turnstile = Turnstile::default();
        let begun = Instant::now();
        let inside = full(&turnstile).await;
        assert!(turnstile.pass().await.is_none());
        assert_eq!(begun.elapsed(), PATIENCE);
        assert!(turnstile.pass().await.is_none());
        assert_eq!(begun.elapsed(), PATIENCE, "the next goes at once");
        drop(inside);
        let _inside = full(&turnstile).await;
        assert!(turnstile.pass().await.is_none());
        assert_eq!(begun.elapsed(), 2 * PATIENCE, "it is tried again");
    }
}
