//! The real binary through its real ports, between test bots and a look-alike of WAHA: the promises as tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub
)]

mod harness;
mod smoke;
