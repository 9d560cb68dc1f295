//! A late retry of what had passed to us and may have arrived: WAHA is asked before it goes out again (SPEC 4.4).
//!
//! Only such a call waits for it, and not for long: where WAHA does not say, the bot's wish counts. Who asks, and how, is not seen here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::worker::Worker;
use crate::domain::confirmation::MessageId;
use crate::domain::errand::{Look, Looked};
use crate::domain::ledger::AttemptId;
use crate::domain::recovery::message_id;
use crate::domain::send::Description;
use crate::domain::time::Timestamp;

/// So long a bot's call waits for the look: WAHA may be hanging, and the bot is waiting.
const ASK_MAX: Duration = Duration::from_secs(8);

/// Asks WAHA whether a send went out.
pub trait Asks: Send + Sync {
    /// Begins; never waits. Where nobody can ask, the sender of the answer is dropped.
    fn ask(&self, look: Look) -> oneshot::Receiver<Looked>;
}

/// The message an earlier attempt of this send made, where WAHA says that there is one.
pub(super) async fn arrived(
    worker: &Worker,
    attempt: AttemptId,
    first_at: Timestamp,
    what: &Arc<Description>,
) -> Option<MessageId> {
    let look = Look {
        send: attempt.send,
        what: Arc::clone(what),
        // Our replays have it, where the engine takes one; nothing else does.
        message: Some(message_id(attempt.send)),
        since: first_at,
        ended: worker.shared.clock.now(),
    };
    let asked = worker.shared.asks.ask(look);
    tokio::select! {
        found = timeout(ASK_MAX, asked) => found.ok()?.ok()?.message(),
        () = worker.kill.cancelled() => None,
    }
}
