//! A future that runs in the place of whoever waits for it, and runs on by itself where that one goes away: as a task from the start would, without
//! the price of one for all those that nobody leaves.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs to its end, whoever waits. What it makes is given to who waits, or dropped.
pub(super) struct Outlive<T: 'static>(Option<Pin<Box<dyn Future<Output = T>>>>);

/// It ended by a panic, which goes no further.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Panicked;

impl<T: 'static> Outlive<T> {
    pub(super) fn new(run: impl Future<Output = T> + 'static) -> Self {
        Self(Some(Box::pin(run)))
    }
}

impl<T: 'static> Future for Outlive<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(run) = &mut self.0 else { return Poll::Ready(Err(Panicked)) };
        // What the panic left half done is dropped with the future, and never seen again.
        let ended = match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(made)) => Ok(made),
            Err(_) => Err(Panicked),
        };
        self.0 = None;
        Poll::Ready(ended)
    }
}

impl<T: 'static> Drop for Outlive<T> {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            // Where the runtime itself ends, this drops it.
            tokio::task::spawn_local(async move { drop(run.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::runtime::{Builder, LocalRuntime};
    use tokio::sync::oneshot;

    use super::*;

    fn runtime() -> LocalRuntime {
        Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap()
    }

    /// Says when it is dropped.
    struct Dropped(Rc<Cell<bool>>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }

    #[test]
    fn what_is_waited_for_is_told() {
        assert_eq!(runtime().block_on(Outlive::new(async { 7 })), Ok(7));
    }

    #[test]
    fn a_panic_goes_no_further() {
        let dropped = Rc::new(Cell::new(false));
        let witness = Dropped(Rc::clone(&dropped));
        let run = Outlive::new(async move {
            let _witness = witness;
            panic!("a bug");
        });
        assert_eq!(runtime().block_on(run), Err::<(), _>(Panicked));
        assert!(dropped.get());
    }

    #[test]
    fn it_runs_on_where_nobody_waits() {
        runtime().block_on(async {
            let (go, gone) = oneshot::channel::<()>();
            let (say, said) = oneshot::channel();
            let mut run = Box::pin(Outlive::new(async move {
                let _ = gone.await;
                let _ = say.send("done");
            }));
            assert!(futures_util::poll!(run.as_mut()).is_pending());
            drop(run);
            go.send(()).unwrap();
            assert_eq!(said.await, Ok("done"));
        });
    }

    #[test]
    fn the_end_of_the_runtime_ends_it_quietly() {
        let dropped = Rc::new(Cell::new(false));
        let witness = Dropped(Rc::clone(&dropped));
        let runtime = runtime();
        runtime.block_on(async {
            tokio::task::spawn_local(Outlive::new(async move {
                let _witness = witness;
                std::future::pending::<()>().await;
            }));
            tokio::task::yield_now().await;
        });
        assert!(!dropped.get());
        drop(runtime);
        assert!(dropped.get());
    }
}
