//! Printing: results to standard output, complaints to standard error.

use std::io::{self, Write as _};

use super::Failure;

/// Prints a result. A reader that has seen enough (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Is anybody still reading?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    There,
    Gone,
}

/// Prints a part of a result that goes on.
pub(super) fn print_to(text: &str) -> Result<Reader, Failure> {
    match io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::failed(error)),
    }
}

/// Says why something failed.
pub(super) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "waha-watchdog: {message}");
}

/// A text that people of the shop or strangers wrote, made safe for a terminal: no control characters.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
