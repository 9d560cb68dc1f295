//! The look-alike against a real WAHA's transcripts, and each of its faults over a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod client;
mod faults;
mod feed;
mod replay;
mod transcript;
mod whole;
