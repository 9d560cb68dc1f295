//! How many sends are with WAHA at once. Beyond that the next one waits a moment for another to end, and takes over its connection: each
//! connection costs some fifty KiB, and where WAHA answers at once, more of them make nothing faster. Where it does not, nobody waits for long.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// So many at once, per worker, wait for nobody: more than WAHA works on at a time.
const AT_ONCE: usize = 32;
/// So long the next one waits at the most; then it goes all the same.
const PATIENCE: Duration = Duration::from_millis(10);

/// Lets sends pass to WAHA, a few at a time as far as that costs them little.
#[derive(Debug)]
pub(super) struct Turnstile(Semaphore);

impl Default for Turnstile {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Turnstile {
    /// Passes. Whoever comes next may once what is returned is dropped.
    pub(super) async fn pass(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(permit) = self.0.try_acquire() {
            return Some(permit);
        }
        timeout(PATIENCE, self.0.acquire()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_pass_at_once_and_the_next_after_one_of_them_or_a_moment() {
        let turnstile = Turnstile::default();
        let begun = Instant::now();
        let mut inside = Vec::new();
        for _ in 0..AT_ONCE {
            inside.push(turnstile.pass().await.unwrap());
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(turnstile.pass().await.is_none());
        assert_eq!(begun.elapsed(), PATIENCE);
        let (next, ()) = tokio::join!(turnstile.pass(), async { drop(inside.pop()) });
        assert!(next.is_some());
        assert_eq!(begun.elapsed(), PATIENCE);
    }
}
