//! Documents cannot lie: what README and docs/ name exists, and what they must name is named.
//!
//! Where one of these bites, either the document or the program is wrong; the message says which line and what was
//! expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

#[path = "docs/page.rs"]
mod page;
#[path = "docs/sidecar.rs"]
mod sidecar;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use page::Page;
use regex::Regex;
use serde_json::Value;
use sidecar::Sidecar;
use waha_watchdog::admin;
use waha_watchdog::app::policy_of;
use waha_watchdog::cli::Cli;
use waha_watchdog::config::{self, Config};
use waha_watchdog::domain::decide::{Event, State};
use waha_watchdog::domain::id::{SendId, SessionName};
use waha_watchdog::domain::ledger::{AttemptId, Ended, Entry, Position, Via};
use waha_watchdog::domain::order::OrderFacts;
use waha_watchdog::domain::outcome::{Cause, Outcome};
use waha_watchdog::domain::refusal::Refusal;
use waha_watchdog::domain::send::{Description, SendKind};
use waha_watchdog::domain::time::Timestamp;
use waha_watchdog::metrics::Metrics;

/// Look like keys of the configuration, and are none.
const NOT_KEYS: [&str; 4] = ["meta.version", "message.any", "message.ack", "session.status"];
/// Endings of file names that look like keys of the configuration.
const FILES: [&str; 8] = [".json", ".md", ".redb", ".rs", ".sh", ".svg", ".toml", ".yml"];

#[test]
fn metrics_lists_the_families_that_are_served() {
    let mut served = all_families();
    // Its causes are those of the API; the words of the label are told of the other families.
    served
        .get_mut("waha_watchdog_order_unnotified_info")
        .unwrap()
        .values
        .retain(|(label, _)| label != "reason");
    let page = Page::read(root(), "docs/METRICS.md");
    let rows: Vec<_> = page.rows().into_iter().filter(|row| row.len() == 4).collect();
    let mut documented = BTreeMap::new();
    for row in &rows {
        let [name, kind, labels, help] = row.as_slice() else { unreachable!() };
        let row = format!("{name} | {kind} | {labels} | {help}");
        assert!(documented.insert(name.clone(), row).is_none(), "{name} is listed twice");
    }
    if !cfg!(target_os = "linux") {
        documented.retain(|name, _| !name.starts_with("process_"));
    }
    let wanted: BTreeMap<_, _> =
        served.iter().map(|(name, family)| (name.clone(), family.row(name))).collect();
    let wrong: Vec<_> = wanted.iter().filter(|(name, row)| documented.get(*name) != Some(row)).collect();
    let gone: Vec<_> = documented.keys().filter(|name| !wanted.contains_key(*name)).collect();
    assert!(wrong.is_empty() && gone.is_empty(), "docs/METRICS.md must say {wrong:#?} and not {gone:?}");

    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (label, value) in served.values().flat_map(|family| &family.values) {
        values.entry(label).or_default().insert(value);
    }
    for row in page.rows().iter().filter(|row| row.len() == 3) {
        let documented: BTreeSet<_> = row[2].split(", ").collect();
        let mut served = values.remove(row[0].as_str()).unwrap_or_default();
        served.remove("");
        assert_eq!(documented, served, "docs/METRICS.md: the values of the label {}", row[0]);
    }
    let open = ["code", "from", "handler", "order", "revision", "session", "to", "version"];
    assert_eq!(values.into_keys().collect::<Vec<_>>(), open, "docs/METRICS.md has no row for these labels");
}

#[test]
fn every_metric_named_anywhere_exists() {
    let served = all_families();
    // Recorded ones have a level in front; their names are checked with the rules.
    let name = Regex::new("(:?)(waha_watchdog_[a-z_]+)").unwrap();
    for page in pages() {
        for found in name.captures_iter(&page.text).filter(|found| found[1].is_empty()) {
            let name = found[2].strip_suffix("_bucket").unwrap_or(&found[2]);
            assert!(served.contains_key(name), "{}: no metric {}", page.path, &found[2]);
        }
    }
}

#[test]
fn api_has_the_routes_of_the_admin_listener() {
    let source = fs::read_to_string(root().join("src/admin.rs")).unwrap();
    let described: Value = serde_json::from_str(admin::openapi_document()).unwrap();
    let mut served = BTreeSet::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        let methods =
            item.as_object().unwrap().keys().filter(|key| !["summary", "parameters"].contains(&key.as_str()));
        served.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    // A route that is added otherwise would be served without being described.
    let registered = source.matches("routes!(").count();
    assert_eq!(served.len(), registered, "each route of src/admin.rs describes itself");
    assert!(
        !source.contains(".route("),
        "src/admin.rs adds routes by routes!, so that they describe themselves"
    );
    let call = Regex::new("`((?:GET|POST|PUT|PATCH|DELETE) /[^`?]*)`").unwrap();
    let calls =
        |text: &str| call.captures_iter(text).map(|found| found[1].to_owned()).collect::<BTreeSet<_>>();
    let page = Page::read(root(), "docs/API.md");
    assert_eq!(calls(&page.headings().join("\n")), served, "docs/API.md has a heading for each route");
    let head: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
    assert_eq!(calls(&head), served, "the head of src/admin.rs lists each route");
    for page in pages() {
        let named = page.code().into_iter().filter(|(_, code)| call.is_match(&format!("`{code}`")));
        let admin = named.filter(|(_, code)| !code.contains("/api/send") || code.contains("/api/sends"));
        for (line, code) in admin {
            assert!(served.contains(code), "{}:{line} there is no {code}", page.path);
        }
    }
}

#[test]
fn the_openapi_document_is_the_one_that_is_served() {
    let path = root().join("docs/openapi.json");
    if std::env::var_os("WRITE_OPENAPI").is_some() {
        fs::write(&path, admin::openapi_document()).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let hint =
        "docs/openapi.json is not what is served; WRITE_OPENAPI=1 cargo test --test docs openapi writes it";
    assert!(kept == admin::openapi_document(), "{hint}");
}

#[test]
fn the_openapi_document_holds_together() {
    let described: Value = serde_json::from_str(admin::openapi_document()).unwrap();
    assert_eq!(described["openapi"], "3.1.0");
    // Every reference leads somewhere, and every operation says how it may fail.
    let schemas = described["components"]["schemas"].as_object().unwrap();
    let text = described.to_string();
    let reference = Regex::new(r##""\$ref":"#/components/schemas/([^"]+)""##).unwrap();
    for found in reference.captures_iter(&text) {
        assert!(schemas.contains_key(&found[1]), "no schema {}", &found[1]);
    }
    let mut operations = 0;
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            if path.starts_with("/api/") {
                for status in ["401", "403", "421", "503"] {
                    assert!(responses.contains_key(status), "{method} {path} says nothing of {status}");
                }
            }
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                let kinds = response["content"].as_object().unwrap();
                let is_problem = kinds.contains_key("application/problem+json") || path == "/readyz";
                assert!(is_problem, "{method} {path} {status} is no problem");
            }
            operations += 1;
        }
    }
    assert!(operations >= 29, "{operations} operations");
}

#[test]
fn answers_in_api_are_those_of_a_running_sidecar() {
    let sidecar = Sidecar::start();
    let id = sidecar.failed_notification();
    let page = Page::read(root(), "docs/API.md");
    let mut compared = 0;
    for fence in page.fences(&["json"]) {
        let shown: Value =
            serde_json::from_str(&fence.text).unwrap_or_else(|e| panic!("{e}: {}", fence.text));
        let heading = fence.heading.replace('`', "");
        let answer = match heading.strip_prefix("GET ") {
            Some(path) => sidecar.get(&path.replace("{id}", &id)),
            None if heading == "Errors" => sidecar.get("/api/sends?limit=0"),
            None => sidecar.refused(),
        };
        let place = format!("docs/API.md:{}", fence.line);
        same_shape(&shown, &answer, &place);
        if !heading.starts_with("GET ") {
            assert_eq!(shown, answer, "{place}");
        }
        compared += 1;
    }
    assert!(compared >= 7, "{compared} answers are shown");
}

#[test]
fn api_lists_all_causes_and_all_errors() {
    let page = Page::read(root(), "docs/API.md");
    let rows = page.rows();
    let outcomes = Outcome::ALL.map(Outcome::as_str);
    let causes = rows.iter().filter(|row| row.len() == 3 && outcomes.contains(&row[1].as_str()));
    let causes: BTreeSet<_> = causes.map(|row| (row[0].as_str(), row[1].as_str())).collect();
    let known = Cause::ALL.map(|cause| (cause.as_str(), cause.outcome().as_str()));
    assert_eq!(causes, BTreeSet::from(known), "docs/API.md: causes");
    let errors = |columns: usize| {
        let rows = rows.iter().filter(move |row| row.len() == columns && row[0].parse::<u16>().is_ok());
        rows.map(|row| (row[1].clone(), row[0].clone())).collect::<BTreeSet<_>>()
    };
    let of_proxy =
        Refusal::ALL.iter().map(|refusal| (refusal.code().to_owned(), refusal.status().to_string()));
    assert_eq!(errors(4), of_proxy.collect(), "docs/API.md: errors of the proxy");

    // `Problem::new(StatusCode::X, "code", …` is how the admin makes every error.
    let problem = Regex::new(r#"(?:Problem|Self)::new\(\s*StatusCode::([A-Z_]+),\s*"([a-z_]+)""#).unwrap();
    let mut of_admin = BTreeSet::new();
    let files = fs::read_dir(root().join("src/admin")).unwrap().map(|file| file.unwrap().path());
    for file in files.filter(|file| file.is_file()) {
        let text = fs::read_to_string(file).unwrap();
        of_admin.extend(
            problem.captures_iter(&text).map(|found| (found[2].to_owned(), found[1].replace('_', " "))),
        );
    }
    let name = |(code, status): (String, String)| {
        let status = http::StatusCode::from_bytes(status.as_bytes()).unwrap();
        (code, status.canonical_reason().unwrap().to_uppercase())
    };
    assert_eq!(errors(3).into_iter().map(name).collect::<BTreeSet<_>>(), of_admin, "docs/API.md: errors");
}

#[test]
fn every_command_line_is_understood() {
    let mut lines = Vec::new();
    // What `--help` says is written by the program itself, headings of groups included.
    for page in pages().into_iter().filter(|page| page.path != "docs/CLI.md") {
        for fence in page.fences(&["", "sh", "bash", "console"]) {
            let numbered = fence.text.lines().enumerate();
            lines.extend(numbered.map(|(at, line)| (page.path.clone(), fence.line + at, line.to_owned())));
        }
        let spans = page.code().into_iter().filter(|(_, code)| code.contains("waha-watchdog "));
        lines.extend(spans.map(|(line, code)| (page.path.clone(), line, code.to_owned())));
    }
    let mut understood = 0;
    for (path, at, line) in lines {
        for words in commands(&line) {
            match Cli::try_parse_from(std::iter::once("waha-watchdog").chain(words.iter().copied())) {
                Ok(_) => understood += 1,
                Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {}
                Err(error) => panic!("{path}:{at} `{line}`: {error}"),
            }
        }
    }
    assert!(understood >= 8, "{understood} command lines are shown");
}

#[test]
fn cli_says_what_help_says() {
    let path = root().join("docs/CLI.md");
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let (head, _) = kept.split_once("## `waha-watchdog`").expect("docs/CLI.md has a head of its own");
    let mut wanted = head.to_owned();
    let mut cli = Cli::command().term_width(100);
    cli.build();
    describe(&mut cli, &mut wanted);
    let wanted = format!("{}\n", wanted.trim_end());
    if std::env::var_os("WRITE_CLI").is_some() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(
        kept == wanted,
        "docs/CLI.md is not what --help says; WRITE_CLI=1 cargo test --test docs cli writes it"
    );
}

/// A command's help, and that of the commands in it.
fn describe(command: &mut clap::Command, text: &mut String) {
    if command.get_name() == "help" {
        return;
    }
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("## `{name}`\n\n```text\n{}\n```\n\n", help.join("\n").trim_end()));
    for inside in command.get_subcommands_mut() {
        describe(inside, text);
    }
}

#[test]
fn readme_names_every_command() {
    let readme = Page::read(root(), "README.md").text;
    let mut commands: Vec<_> =
        Cli::command().get_subcommands().map(|command| (String::new(), command.clone())).collect();
    while let Some((before, command)) = commands.pop() {
        let name = format!("{before}{}", command.get_name());
        let inside: Vec<_> = command.get_subcommands().cloned().collect();
        if inside.is_empty() {
            let lines = [format!("waha-watchdog {name}"), format!("cargo run --release -- {name}")];
            assert!(lines.iter().any(|line| readme.contains(line)), "README.md does not name `{}`", lines[0]);
        }
        commands.extend(inside.into_iter().map(|command| (format!("{name} "), command)));
    }
}

#[test]
fn every_key_named_exists() {
    let shown = config::load(None, &[]).unwrap().to_json();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let mut keys = BTreeSet::new();
    let sections = shown["config"].as_object().unwrap();
    for (section, value) in sections {
        match value.as_object() {
            Some(inside) => keys.extend(inside.keys().map(|key| format!("{section}.{key}"))),
            None => _ = keys.insert(section.clone()),
        }
    }
    let like_a_key = Regex::new(r"^([a-z_]+\.[a-z_]+)(?: = (.+))?$").unwrap();
    let variable = Regex::new(r"WAHA_WATCHDOG__([A-Z_]+)").unwrap();
    let mut named = 0;
    for page in pages() {
        for (line, code) in page.code() {
            let Some(found) = like_a_key.captures(code) else { continue };
            let key = found[1].to_owned();
            if NOT_KEYS.contains(&key.as_str()) || FILES.iter().any(|ending| key.ends_with(ending)) {
                continue;
            }
            assert!(keys.contains(&key), "{}:{line} there is no key {key}", page.path);
            named += 1;
            if let Some(value) = found.get(2) {
                let name = format!("WAHA_WATCHDOG__{}", key.to_uppercase().replace('.', "__"));
                let value = value.as_str().trim_matches('"').to_owned();
                let loaded = config::load(None, &[(name, value)]);
                assert!(loaded.is_ok(), "{}:{line} {code}: {}", page.path, loaded.unwrap_err());
            }
        }
        for found in variable.captures_iter(&page.text) {
            let key = found[1].to_lowercase().replace("__", ".");
            assert!(key == "section.key" || keys.contains(&key), "{}: no variable {}", page.path, &found[0]);
        }
    }
    assert!(named >= 20, "{named} keys are named");
}

#[test]
fn every_header_named_exists() {
    let sources = ["src/proxy/headers.rs", "src/proxy/synthetic.rs"].map(|path| root().join(path));
    let known: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let header = Regex::new("X-Watchdog-[A-Z][A-Za-z-]*").unwrap();
    let mut named = BTreeSet::new();
    for page in pages() {
        for found in header.find_iter(&page.text) {
            let name = found.as_str().to_lowercase();
            assert!(known.contains(&format!("\"{name}\"")), "{}: no header {}", page.path, found.as_str());
            named.insert(name);
        }
    }
    let ours = Regex::new(r#""(x-watchdog-[a-z-]*[a-z])""#).unwrap();
    let product = known.split("#[cfg(test)]").next().unwrap();
    for found in ours.captures_iter(product) {
        assert!(named.contains(&found[1]), "no document names {}", &found[1]);
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    for page in &pages {
        for (line, target) in page.links() {
            if target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(&page.path).parent().unwrap();
            let path =
                if file.is_empty() { page.path.clone() } else { folder.join(file).display().to_string() };
            assert!(root().join(&path).is_file(), "{}:{line} there is no {path}", page.path);
            if !anchor.is_empty() {
                let anchors = Page::read(root(), &path).anchors();
                assert!(
                    anchors.iter().any(|known| known == anchor),
                    "{}:{line} {target}: {anchors:?}",
                    page.path
                );
            }
        }
    }
}

/// A family as `/metrics` serves it.
#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
    values: BTreeSet<(String, String)>,
}

impl Family {
    fn row(&self, name: &str) -> String {
        let labels: Vec<_> = self.labels.iter().map(String::as_str).collect();
        format!("{name} | {} | {} | {}", self.kind, labels.join(", "), self.help)
    }
}

/// All families, those too whose series begin with a call or an order.
fn all_families() -> BTreeMap<String, Family> {
    let session = SessionName::new("default").unwrap();
    let metrics = Metrics::new(std::slice::from_ref(&session)).unwrap();
    metrics.admin_request("healthz", 200);
    let (now, policy) = (Timestamp::EPOCH, policy_of(&Config::default()));
    let mut state = State::new([&session], now, [0; 16]);
    let cause = Cause::NumberNotOnWhatsapp;
    let rejected = Ended {
        attempt: AttemptId { send: SendId::from_bytes([1; 16]), number: 1 },
        via: Via::Bot,
        first_at: now,
        started: now,
        ended: now,
        what: Arc::new(Description {
            identity: None,
            session: Some(session),
            chat: None,
            kind: SendKind::Text,
            path: "/send".into(),
            order: OrderFacts { order_number: Some("ORD-1".into()), ..OrderFacts::default() },
        }),
        outcome: cause.outcome(),
        cause: Some(cause),
        status: None,
        detail: None,
        message_id: None,
        given_up: false,
        unheard: None,
        request: None,
    };
    drop(state.decide(Event::Entry(Position(1), Entry::Ended(Box::new(rejected))), now, &policy));
    metrics.mind.show(&state, now, &policy);
    families(&String::from_utf8(metrics.encode()).unwrap())
}

fn families(text: &str) -> BTreeMap<String, Family> {
    let label = Regex::new(r#"([a-z_]+)="([^"]*)""#).unwrap();
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut present = String::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                name.clone_into(&mut present);
                help.clone_into(&mut families.entry(present.clone()).or_default().help);
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
            }
            _ => {
                let family = families.get_mut(&present).unwrap();
                for found in label.captures_iter(line).filter(|found| &found[1] != "le") {
                    family.labels.insert(found[1].to_owned());
                    family.values.insert((found[1].to_owned(), found[2].to_owned()));
                }
            }
        }
    }
    families
}

/// The arguments of each call of the program in a line for a shell.
fn commands(line: &str) -> Vec<Vec<&str>> {
    let line = line.split(" #").next().unwrap().trim();
    let parts = line.split(['|', ';']).flat_map(|part| part.split("&&"));
    let words = parts.map(|part| part.split_whitespace().collect::<Vec<_>>());
    words
        .filter_map(|words| {
            let set = words.iter().take_while(|word| word.contains('=')).count();
            let start = match words.get(set..)? {
                ["waha-watchdog", _, ..] => set + 1,
                ["cargo", "run", ..] => words.iter().position(|word| *word == "--")? + 1,
                _ => return None,
            };
            Some(words[start..].to_vec())
        })
        .collect()
}

/// The same keys in the same order, and values of the same type; `null` stands for any, and of lists the first counts.
#[track_caller]
fn same_shape(shown: &Value, answer: &Value, place: &str) {
    match (shown, answer) {
        (Value::Object(shown), Value::Object(answer)) => {
            let (ours, theirs): (Vec<_>, Vec<_>) = (shown.keys().collect(), answer.keys().collect());
            assert_eq!(ours, theirs, "{place}: the keys shown, and those answered");
            for (key, value) in shown {
                same_shape(value, &answer[key], &format!("{place} {key}"));
            }
        }
        (Value::Array(shown), Value::Array(answer)) => {
            let (Some(shown), Some(answer)) = (shown.first(), answer.first()) else {
                panic!("{place}: an empty list shows nothing")
            };
            same_shape(shown, answer, place);
        }
        (Value::Null, _) | (_, Value::Null) => {}
        _ => assert_eq!(
            std::mem::discriminant(shown),
            std::mem::discriminant(answer),
            "{place}: {shown} and {answer}"
        ),
    }
}

/// README, the changelog, docs/ and its runbooks.
fn pages() -> Vec<Page> {
    let mut paths = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    for folder in ["docs", "docs/runbooks"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                paths.push(format!("{folder}/{name}"));
            }
        }
    }
    paths.iter().map(|path| Page::read(root(), path)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
