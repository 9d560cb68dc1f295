//! Forgetting a customer, a part at a time (SPEC 13): through the heart of this process, or through one that was read from a store nobody runs on.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::view::Forgot;
use crate::domain::command::Command;
use crate::domain::decide::State as Heart;
use crate::domain::forget::Forgotten;
use crate::domain::id::SendId;
use crate::domain::ledger::Position;
use crate::store::{ReadError, Store, set_aside_beside};

/// Rows that are made anonymous in one commit.
const AT_A_TIME: usize = 500;
/// Open records that are named.
const OPEN_MAX: usize = 100;
/// So long the answer waits for the file.
const REWRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// A heart that does what it is told, and answers once it is on disk.
pub trait Obeys {
    /// Why it was not done.
    type Refused: From<ReadError>;

    /// Does it.
    fn obey(&self, command: Command) -> impl Future<Output = Result<(), Self::Refused>> + Send;

    /// Looks at what it knows.
    fn with_state<T>(&self, look: impl FnOnce(&Heart) -> T) -> T;
}

/// Takes the customer out of everything that is settled.
pub async fn forget<H: Obeys>(store: &Store, customer: &Forgotten, heart: &H) -> Result<Forgot, H::Refused> {
    heart.obey(Command::NoteForget).await?;
    let (mut attempts, mut notifications) = (0, 0);
    let mut after: Option<SendId> = None;
    loop {
        let found = look(store, customer, move |store, who| store.reader().cases_about(who, after)).await?;
        let settled: Vec<_> = found.items.into_iter().filter(|case| case.is_settled()).collect();
        notifications += settled.iter().filter(|case| case.failure.is_some()).count();
        for cases in settled.chunks(AT_A_TIME) {
            let (customer, cases) = (customer.clone(), cases.to_vec());
            heart.obey(Command::Forget { customer, cases, positions: Vec::new() }).await?;
        }
        match found.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let mut from = Position(0);
    loop {
        let found = look(store, customer, move |store, who| store.reader().ledger_about(who, from)).await?;
        let positions: Vec<_> = heart.with_state(|state| {
            let free = found.items.iter().filter(|(_, send)| !state.needs_customer(*send));
            free.map(|(position, _)| *position).collect()
        });
        attempts += positions.len();
        for positions in positions.chunks(AT_A_TIME) {
            let (customer, positions) = (customer.clone(), positions.to_vec());
            heart.obey(Command::Forget { customer, cases: Vec::new(), positions }).await?;
        }
        match found.next {
            Some(next) => from = next,
            None => break,
        }
    }
    heart.obey(Command::ForgetRest(customer.clone())).await?;
    let open: Vec<_> = heart.with_state(|state| {
        let open = state.cases().values().filter(|case| customer.is_in_case(case));
        open.map(|case| case.send.to_string()).collect()
    });
    let rows_left = look(store, customer, |store, who| store.reader().rows_naming(who)).await?;
    heart.obey(Command::Rewrite).await?;
    // Where the file is written anew at once, it cannot be read for that moment: whoever asks next is not to meet it.
    let _in_time = timeout(REWRITTEN_WITHIN, store.pulse()).await;
    let set_aside = set_aside_beside(store.path());
    Ok(Forgot {
        success: true,
        attempts,
        notifications,
        open_count: open.len(),
        open: open.into_iter().take(OPEN_MAX).collect(),
        rows_left,
        files_left: set_aside.iter().map(|path| path.display().to_string()).collect(),
    })
}

/// Looks through the store without keeping anybody waiting.
async fn look<T: Send + 'static>(
    store: &Store,
    customer: &Forgotten,
    read: impl FnOnce(&Store, &Forgotten) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let (store, customer) = (store.clone(), customer.clone());
    let read = spawn_blocking(move || read(&store, &customer)).await;
    read.map_err(|error| ReadError::Unavailable(error.to_string()))?
}
