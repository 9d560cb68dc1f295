//! What becomes of the records as a whole: a customer is forgotten, a copy of everything is handed out (SPEC 13).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::Admin;
use super::access::Who;
use super::body::read;
use super::command::ask;
use super::forgetting::{self, Obeys};
use super::problem::{Problem, ProblemView};
use super::view::Forgot;
use crate::domain::command::Command;
use crate::domain::decide::State as Heart;
use crate::domain::forget::Forgotten;
use crate::domain::id::Phone;
use crate::store::ReadError;

/// Bytes of a copy that are on their way at a time.
const CHUNK: usize = 64 * 1024;

/// The one who may copy or forget: both read everything there is.
#[derive(Debug)]
pub struct Turn(Arc<Semaphore>);

impl Default for Turn {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turn {
    fn take(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            let detail = "a backup or a forget is under way; ask again when it is over";
            Problem::new(StatusCode::CONFLICT, "busy", detail)
        })
    }
}

/// Whom to forget.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Forget {
    /// The customer's phone, in any spelling, with its country code.
    phone: String,
}

/// Takes a customer out of everything that is settled.
///
/// Names, phones, chats, notes and WAHA's words go: out of sends, those that wait for their confirmation too, failed notifications,
/// diagnoses, and what sessions are judged by. What was sent, when, and how it ended stays. What is open needs its customer and stays as it
/// is: it is counted, to be settled first. The store's file is written anew, at once where it is small, else at the next start.
#[utoipa::path(
    post,
    path = "/api/forget",
    tag = "records",
    request_body(content = Forget),
    responses(
        (status = 200, description = "Forgotten, but for what is open", body = Forgot),
        (status = 409, description = "A backup or another one is under way (`busy`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn forget(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Forgot>, Problem> {
    let Forget { phone } = read(request).await?;
    let customer = Phone::new(&phone).and_then(|phone| Forgotten::new(&phone));
    let customer =
        customer.ok_or_else(|| Problem::bad_parameter("phone", "a phone number with its country code"))?;
    let _turn = admin.turn.take()?;
    let running = Running { admin: &admin, who: &who };
    let forgot = forgetting::forget(&admin.store, &customer, &running).await?;
    tracing::warn!(
        attempts = forgot.attempts,
        notifications = forgot.notifications,
        open = forgot.open_count,
        rows_left = forgot.rows_left,
        "a customer was forgotten"
    );
    Ok(Json(forgot))
}

/// The heart of this process, which does what is asked once it is on disk.
struct Running<'a> {
    admin: &'a Admin,
    who: &'a Who,
}

impl Obeys for Running<'_> {
    type Refused = Problem;

    async fn obey(&self, command: Command) -> Result<(), Problem> {
        ask(self.admin, self.who, command, None).await.map(|_| ())
    }

    fn with_state<T>(&self, look: impl FnOnce(&Heart) -> T) -> T {
        look(&self.admin.heart.state())
    }
}

/// A copy of the whole store, as it is at one moment.
///
/// It is a file that this version and later ones can run on. It holds everything, customers' names and phones too.
#[utoipa::path(
    get,
    path = "/api/backup",
    tag = "records",
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 409, description = "Another one is under way (`busy`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn backup(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
) -> Result<Response, Problem> {
    let turn = admin.turn.take()?;
    ask(&admin, &who, Command::NoteBackup, None).await?;
    let store = admin.store.clone();
    let copied = spawn_blocking(move || {
        let unavailable = |error: io::Error| {
            ReadError::Unavailable(format!("there is no room beside it for a copy: {error}"))
        };
        let file = nameless(store.path()).map_err(unavailable)?;
        store.reader().copy_to(file.try_clone().map_err(unavailable)?)?;
        let length = file.metadata().map_err(unavailable)?.len();
        Ok::<_, ReadError>((file, length))
    });
    let (file, length) = copied.await.map_err(|error| ReadError::Unavailable(error.to_string()))??;
    tracing::warn!(bytes = length, who = who.0, "a copy of the store is handed out");
    let mut head = HeaderMap::new();
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    head.insert(CONTENT_LENGTH, HeaderValue::from(length));
    head.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"watchdog.redb\""));
    let file = Arc::new(file);
    let chunks = stream::unfold((file, 0u64, turn), move |(file, at, turn)| async move {
        let size = usize::try_from(length.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
        if size == 0 {
            return None;
        }
        let reader = Arc::clone(&file);
        let chunk = spawn_blocking(move || {
            let mut chunk = vec![0; size];
            reader.read_exact_at(&mut chunk, at).map(|()| Bytes::from(chunk))
        });
        let chunk = chunk.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let next = at + u64::try_from(size).unwrap_or(0);
        Some((chunk, (file, next, turn)))
    });
    Ok((head, Body::from_stream(chunks.boxed())).into_response())
}

/// A file beside the store that has no name: whatever happens, nothing is left of it.
fn nameless(store: &Path) -> io::Result<File> {
    let mut name = store.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".copy-{}", std::process::id()));
    let path = store.with_file_name(name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
