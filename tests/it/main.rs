//! The real binary through its real ports, between test bots and a look-alike of WAHA: the promises as tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::float_cmp,
    missing_docs,
    unreachable_pub
)]

mod admin_commands;
mod admin_live;
mod alertmanager;
mod alerts;
#[path = "../dashboards/board.rs"]
#[allow(dead_code)]
mod board;
mod channels;
mod channels_drill;
mod channels_push;
mod cli;
mod cli_verbs;
mod clients;
mod dashboards;
mod disk_full;
mod durability;
mod feed;
mod harness;
mod joining;
mod late_retry;
mod lifecycle;
mod outcomes;
mod panel;
mod proxy_mode;
mod retention;
mod scenario;
mod scenario_outage;
mod scenario_pending;
mod scenario_quiet;
mod scenario_restart;
mod secrets;
mod smoke;
mod taking_up;
mod transparent;
mod websocket;
