//! The house rules as tests: what docs/ARCHITECTURE.md promises, as far as a text search can hold it.
//!
//! A rule that bites you here is not a quarrel: move the line to the room that owns the question, or change the map
//! and this table together and say why in the commit. Unit tests (`#[cfg(test)] mod ..`) are exempt where it says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

#[path = "tidy/source.rs"]
mod source;

use source::{Source, files, lines_with, names_after, relative};
use std::fs;
use std::path::Path;

/// Which room may use which, from the ground up: a row may name only rows above it, so the table has no cycle.
/// Rooms of one storey do not see each other, but for the few listed.
const ROOMS: &[(&str, &[&str])] = &[
    // beside the house: a program of its own that happens to live in our crate
    ("fake_waha", &[]),
    // ground: pure
    ("domain", &[]),
    // hands: each touches one outside thing
    ("clock", &["domain"]),
    ("dial", &[]),
    ("logging", &["domain", "clock"]),
    ("metrics", &["domain", "clock"]),
    ("words", &["domain", "clock"]),
    ("config", &["domain"]),
    ("store", &["domain", "clock", "metrics"]),
    ("waha", &["domain", "clock", "metrics"]),
    // alerts go out: one file per channel
    ("channels", &["domain", "clock", "metrics", "words"]),
    // faces and heart: they speak to each other by messages that app connects
    // what the heart wants done outside; how, it does not see
    ("errands", &["domain", "clock", "metrics", "store", "waha", "words", "channels"]),
    // WAHA's events, followed
    ("events", &["domain", "clock", "dial", "metrics", "waha"]),
    ("watchdog", &["domain", "clock", "metrics", "config", "store", "waha"]),
    // admin shows the heart's state, and so stands on it; WAHA's webhooks come in through its listener
    (
        "admin",
        &[
            "domain", "clock", "logging", "metrics", "config", "store", "waha", "words", "channels",
            "events", "watchdog",
        ],
    ),
    // the panel shows what admin shows, to people: it stands on admin's access and deeds
    (
        "panel",
        &["domain", "clock", "logging", "metrics", "config", "store", "waha", "words", "watchdog", "admin"],
    ),
    ("proxy", &["domain", "clock", "dial", "metrics", "config", "store", "waha"]),
    // roof: joins
    (
        "app",
        &[
            "domain", "clock", "metrics", "config", "store", "waha", "watchdog", "admin", "panel", "proxy",
            "words", "channels", "errands", "events",
        ],
    ),
    ("demo", EVERY_ROOM_BELOW),
    ("cli", EVERY_ROOM_BELOW),
    ("main", EVERY_ROOM_BELOW),
    ("lib", EVERY_ROOM_BELOW),
];
const EVERY_ROOM_BELOW: &[&str] = &["*"];

/// What the pure rules must not even name: (spelling, what to do instead).
const NOT_IN_DOMAIN: &[(&str, &str)] = &[
    ("tokio", "return a value that says what to do or how long to wait; the shell around domain waits"),
    ("hyper", "bytes and headers are read in proxy or waha; give domain plain types"),
    ("reqwest", "I/O belongs to waha or to the heart's actions"),
    ("redb", "stored forms belong to store"),
    ("serde", "stored and served forms have their own types in store and admin"),
    ("async fn", "domain cannot wait"),
    (".await", "domain cannot wait"),
];
const STD_NOT_IN_DOMAIN: &[&str] = &["net", "fs", "env", "process", "thread"];

/// Reading time, drawing chance. `elapsed` is a reading too.
const READS_TIME_OR_CHANCE: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "Utc::now",
    "Local::now",
    ".elapsed()",
    "SystemRandom",
    "Uuid::new_v4",
    "Uuid::now_v7",
    "thread_rng",
];
const MAY_READ_TIME: &[&str] = &["clock", "fake_waha", "demo"];

/// How WAHA spells its sends (compared without case: WAHA itself does not mind case in paths). Our own admin API has
/// `/api/sends`, hence no plain `/api/send`.
const WAHA_SENDS: &[&str] = &[
    "sendtext",
    "sendimage",
    "sendfile",
    "sendvoice",
    "sendvideo",
    "sendsticker",
    "sendlocation",
    "sendcontactvcard",
    "sendpoll",
    "sendlist",
    "sendbuttons",
    "sendlinkpreview",
    "sendseen",
    "/api/send/",
    "/api/forwardmessage",
    "/api/reply",
    "/api/reaction",
    "link-custom-preview",
];
const MAY_SPELL_WAHA: &[&str] = &["waha", "fake_waha"];

/// A file that does not fit a reader's head. Longer ones are listed with the reason why they are not split.
const LINES_MAX: usize = 700;
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn every_file_begins_with_a_head() {
    let headless = sources("src").into_iter().filter(|source| !source.text.starts_with("//!"));
    settle(
        "the first line of a module is `//!` and says what the file is for and what it refuses",
        headless.map(|source| source.path).collect(),
    );
}

#[test]
fn domain_is_pure() {
    let mut faults = Vec::new();
    for source in product().into_iter().filter(|source| source.room() == "domain") {
        // Sends await their ack there, and nobody waits.
        let code = source.code.replace(".awaiting", ".waiting").replace(".await_", ".wait_");
        for (word, instead) in NOT_IN_DOMAIN {
            faults.extend(each(&source, lines_with(&code, word), &format!("`{word}`: {instead}")));
        }
        for (line, name) in names_after(&source.code, "std::") {
            if STD_NOT_IN_DOMAIN.contains(&name.as_str()) {
                faults.push(format!("{}:{line} `std::{name}`: domain touches nothing outside", source.path));
            }
        }
        for word in READS_TIME_OR_CHANCE {
            let what = format!("`{word}`: take `now` (or the random number) as an argument");
            faults.extend(each(&source, lines_with(&source.code, word), &what));
        }
    }
    settle("domain is pure rules and plain types", faults);
}

#[test]
fn only_store_knows_redb() {
    let others = product().into_iter().filter(|source| source.room() != "store");
    let faults = others.flat_map(|source| each(&source, lines_with(&source.code, "redb"), "`redb`"));
    settle("only store knows redb: ask it for what you need", faults.collect());
}

#[test]
fn only_clock_reads_time_and_chance() {
    let mut faults = Vec::new();
    for source in product().into_iter().filter(|source| !MAY_READ_TIME.contains(&source.room())) {
        for word in READS_TIME_OR_CHANCE {
            faults.extend(each(&source, lines_with(&source.code, word), &format!("`{word}`")));
        }
    }
    settle("only clock reads time and draws chance: take a Clock, so that a test can turn it", faults);
}

#[test]
fn only_waha_spells_wahas_sends() {
    let mut faults = Vec::new();
    for source in product().into_iter().filter(|source| !MAY_SPELL_WAHA.contains(&source.room())) {
        let strings = source.strings.to_lowercase();
        for word in WAHA_SENDS {
            faults.extend(each(&source, lines_with(&strings, word), &format!("\"{word}\"")));
        }
    }
    settle("only waha spells WAHA's sends: use waha::route, or a constant from there", faults);
}

#[test]
fn storeys_are_obeyed() {
    let mut faults = Vec::new();
    for source in product() {
        let Some(allowed) = may_use(source.room()) else { continue };
        let edges = ["crate::", "waha_watchdog::"].map(|prefix| names_after(&source.code, prefix));
        for (line, used) in edges.into_iter().flatten() {
            if used != source.room() && !allowed.contains(&used.as_str()) {
                let allowed = allowed.join(", ");
                faults.push(format!("{}:{line} uses {used}, may use only [{allowed}]", source.path));
            }
        }
        // The arrows above are found by their name, so nobody leaves a room through the back door.
        let back_door = "super::".repeat(source.depth());
        let what = format!("`{back_door}`: leave a room by `crate::`");
        faults.extend(each(&source, lines_with(&source.code, &back_door), &what));
    }
    settle("a room uses only what is below it (the table ROOMS, docs/ARCHITECTURE.md)", faults);
}

#[test]
fn every_room_is_in_the_table() {
    let strangers = sources("src").into_iter().filter(|source| may_use(source.room()).is_none());
    settle(
        "a new room gets a row in ROOMS of tests/tidy.rs and a line in docs/ARCHITECTURE.md",
        strangers.map(|source| source.path).collect(),
    );
}

#[test]
fn the_table_is_the_map() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let mut faults = Vec::new();
    for (at, (room, uses)) in ROOMS.iter().enumerate() {
        if *room != "lib" && lines_with(&map, room).is_empty() {
            faults.push(format!("{room} is not in docs/ARCHITECTURE.md"));
        }
        let below: Vec<_> = ROOMS[..at].iter().map(|(below, _)| below).collect();
        let sideways = uses.iter().filter(|used| **used != "*" && !below.contains(used));
        faults.extend(sideways.map(|used| format!("{room} uses {used}, which is not above it in the table")));
    }
    settle("ROOMS reads from the ground up and names what the map names", faults);
}

#[test]
fn files_fit_a_readers_head() {
    let mut faults = Vec::new();
    for source in ours() {
        let (lines, listed) =
            (source.text.lines().count(), LONG_FILES.iter().any(|(path, _)| *path == source.path));
        if lines > LINES_MAX && !listed {
            faults.push(format!("{} has {lines} lines: split it, or list it with a reason", source.path));
        }
        if lines <= LINES_MAX && listed {
            faults.push(format!("{} is short again: take it off the list", source.path));
        }
    }
    let gone = LONG_FILES.iter().filter(|(path, _)| !root().join(path).exists());
    faults.extend(gone.map(|(path, _)| format!("{path} is gone: take it off the list")));
    settle(&format!("no file has more than {LINES_MAX} lines without a reason in LONG_FILES"), faults);
}

#[test]
fn nothing_is_left_for_later() {
    let mut faults = Vec::new();
    for source in ours() {
        for word in ["TODO", "FIXME", "XXX"] {
            faults.extend(each(&source, lines_with(&source.comments, word), word));
        }
        for word in ["todo!", "unimplemented!"] {
            faults.extend(each(&source, lines_with(&source.code, word), word));
        }
    }
    settle("what is not done is an issue, not a mark in the code", faults);
}

#[test]
fn no_file_names_somebodys_machine() {
    // Put together here so that this file does not find itself.
    let places = ["home", "root", "Users", "work"].map(|place| format!("/{place}/"));
    let mut faults = Vec::new();
    for file in files(root(), "") {
        let Ok(text) = fs::read_to_string(&file) else { continue }; // an image
        for (at, line) in text.lines().enumerate() {
            let named = places.iter().find(|place| {
                let inside_a_longer_path =
                    |at: usize| line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.');
                line.match_indices(place.as_str()).any(|(at, _)| !inside_a_longer_path(at))
            });
            faults.extend(named.map(|place| format!("{}:{} {place}", relative(root(), &file), at + 1)));
        }
    }
    settle(
        "a path of one machine works on one machine: use a relative path, a temporary folder, $HOME",
        faults,
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &str) -> Vec<Source> {
    files(&root().join(dir), ".rs").iter().map(|file| Source::read(root(), file)).collect()
}

/// Every Rust file of ours.
fn ours() -> Vec<Source> {
    ["src", "tests", "benches"].into_iter().flat_map(sources).collect()
}

/// What ships: `src` without its unit tests.
fn product() -> Vec<Source> {
    sources("src").into_iter().map(Source::without_tests).collect()
}

fn may_use(room: &str) -> Option<Vec<&'static str>> {
    let at = ROOMS.iter().position(|(name, _)| *name == room)?;
    let below = || ROOMS[..at].iter().map(|(name, _)| *name).collect();
    Some(if ROOMS[at].1 == EVERY_ROOM_BELOW { below() } else { ROOMS[at].1.to_vec() })
}

fn each(source: &Source, lines: Vec<usize>, what: &str) -> Vec<String> {
    lines.into_iter().map(|line| format!("{}:{line} {what}", source.path)).collect()
}

#[track_caller]
fn settle(rule: &str, faults: Vec<String>) {
    assert!(faults.is_empty(), "\n\nHouse rule: {rule}.\n  {}\n", faults.join("\n  "));
}
