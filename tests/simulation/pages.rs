//! Whom the shipped rules wake: a month's series judged by `promtool`, and its critical alerts counted as Alertmanager pages them.
//!
//! `promtool test rules` evaluates the critical alerts of `alerts/*.yml` as they are shipped, and the records they name, once a scrape; the
//! others wake nobody and silence no page (`tests/it/alertmanager.rs`), and would take four times as long. It is asked to find no critical alert firing, at each evaluation; what it
//! says is different is what fired. A page is a group of the pager's routes that begins to hold a firing alert which no
//! other one inhibits: `config/alertmanager.yml` says which those are, and `amtool` which route. It lasts until nothing of the group fires any
//! more: an alert that is inhibited later is not told to be over, and the pager joins what comes under the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{fs, thread};

use serde::{Deserialize, Serialize};

use super::month::Month;

/// The rules look back six hours at the most.
const LEAD: i64 = 6 * 3600;
/// Days judged at once.
const DAYS: i64 = 3;
const RULES: &str = "rules.yml";
const ASKED: &str = r#"ALERTS{alertstate="firing",severity="critical"}"#;

/// Labels of a firing alert.
pub type Labels = BTreeMap<String, String>;

/// Somebody is woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Seconds since the month began.
    pub at: i64,
    pub alert: String,
    pub session: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rule_files() -> Vec<String> {
    let names = ["channel", "customers", "recording", "sidecar", "waha"];
    names.map(|name| root().join(format!("alerts/{name}.yml")).display().to_string()).into()
}

#[derive(Deserialize, Serialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize, Serialize)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

/// All of a rule but what it says.
#[derive(Deserialize, Serialize)]
struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    expr: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pending: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The rules that can wake somebody, and the records these name, as `promtool` reads them: JSON is YAML.
fn waking() -> String {
    let read =
        |file: &String| serde_saphyr::from_str::<RuleFile>(&fs::read_to_string(file).unwrap()).unwrap();
    let mut groups: Vec<Group> = rule_files().iter().flat_map(|file| read(file).groups).collect();
    let wakes = |rule: &Rule| rule.labels.get("severity").is_some_and(|severity| severity == "critical");
    let all = || groups.iter().flat_map(|group| &group.rules);
    let mut named: String = all().filter(|rule| wakes(rule)).map(|rule| rule.expr.as_str()).collect();
    let mut length = 0;
    while length < named.len() {
        length = named.len();
        let more = |rule: &&Rule| {
            rule.record.as_ref().is_some_and(|name| named.contains(name)) && !named.contains(&rule.expr)
        };
        let more: String = all().filter(more).map(|rule| rule.expr.as_str()).collect();
        named += &more;
    }
    for group in &mut groups {
        let is_named = |rule: &Rule| rule.record.as_ref().is_some_and(|name| named.contains(name));
        group.rules.retain(|rule| wakes(rule) || is_named(rule));
    }
    groups.retain(|group| !group.rules.is_empty());
    serde_json::to_string(&RuleFile { groups }).unwrap()
}

/// The series that the rules name.
pub fn named() -> BTreeSet<String> {
    let text: String = rule_files().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let words = text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words
        .filter(|word| word.starts_with("waha_watchdog_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// What fires at each moment, in seconds since the month began.
pub fn firing(month: &Month, folder: &Path) -> BTreeMap<i64, Vec<Labels>> {
    let every = month.every / 1000;
    fs::write(folder.join(RULES), waking()).unwrap();
    let scrapes = i64::try_from(month.recorder.scrapes()).unwrap();
    let part = DAYS * 86_400 / every;
    let parts: Vec<i64> = (0..scrapes).step_by(usize::try_from(part).unwrap()).collect();
    let (next, all) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let workers = thread::available_parallelism().map_or(1, |cores| cores.get());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(begin) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let from = (begin - LEAD / every).max(0);
                    let until = (begin + part).min(scrapes);
                    let found = judged(month, folder, (from, *begin, until), every);
                    all.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                }
            });
        }
    });
    all.into_inner().unwrap()
}

/// One part of it: scrapes `from..until`, of which those from `begin` on count.
fn judged(
    month: &Month,
    folder: &Path,
    (from, begin, until): (i64, i64, i64),
    every: i64,
) -> Vec<(i64, Vec<Labels>)> {
    let index = |at: i64| usize::try_from(at).unwrap();
    let mut text = format!("rule_files:\n  - {}\n", folder.join(RULES).display());
    writeln!(text, "evaluation_interval: {every}s\ntests:\n  - interval: {every}s\n    input_series:")
        .unwrap();
    text += &month.recorder.input(index(from), index(until), every);
    text += "    promql_expr_test:\n";
    for at in begin..until {
        writeln!(
            text,
            "      - expr: '{ASKED}'\n        eval_time: {}s\n        exp_samples: []",
            (at - from) * every
        )
        .unwrap();
    }
    let file = folder.join(format!("part-{begin}.yml"));
    fs::write(&file, text).unwrap();
    let ran =
        Command::new("promtool").args(["test", "rules"]).arg(&file).env("GOGC", "400").output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap();
    let found = differences(&said);
    assert_eq!(
        ran.status.success(),
        found.is_empty(),
        "promtool said something else:\n{}",
        &said[..said.len().min(3000)]
    );
    found.into_iter().map(|(at, alerts)| (from * every + at, alerts)).collect()
}

/// `promtool` lists what it did not expect: `time: 2m,`, then `got: {a="b", …} 1E+00`, one after the other.
fn differences(said: &str) -> Vec<(i64, Vec<Labels>)> {
    let mut found: Vec<(i64, Vec<Labels>)> = Vec::new();
    for line in said.lines() {
        if let Some((_, time)) = line.split_once(", time: ") {
            found.push((seconds(time.trim_end_matches([',', ' '])), Vec::new()));
        }
        let (true, Some((_, alerts))) = (line.contains("got:"), found.last_mut()) else { continue };
        for one in line.split('{').skip(1) {
            let pairs = one.split('}').next().unwrap_or_default().split(", ");
            let pairs = pairs.filter_map(|pair| pair.split_once('='));
            alerts.push(
                pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect(),
            );
        }
    }
    found
}

/// `1d2h3m4s`.
fn seconds(span: &str) -> i64 {
    let (mut sum, mut number) = (0, 0);
    for one in span.chars() {
        number = match one {
            '0'..='9' => number * 10 + i64::from(one.to_digit(10).unwrap()),
            unit => {
                sum += number
                    * match unit {
                        'w' => 604_800,
                        'd' => 86_400,
                        'h' => 3600,
                        'm' => 60,
                        's' => 1,
                        _ => panic!("{span}"),
                    };
                0
            }
        };
    }
    sum
}

#[derive(Deserialize)]
struct Config {
    route: Route,
    inhibit_rules: Vec<Inhibition>,
}

#[derive(Deserialize)]
struct Route {
    #[serde(default)]
    matchers: Vec<String>,
    group_by: Option<Vec<String>>,
    #[serde(default)]
    routes: Vec<Route>,
}

impl Route {
    /// What Alertmanager tells of together with it: the first route below that takes it, and the values of the labels it groups by.
    fn group(&self, labels: &Labels) -> Vec<String> {
        let taken = self.routes.iter().position(|route| matches(&route.matchers, labels));
        let own = taken.and_then(|at| self.routes[at].group_by.as_ref());
        let by = own.or(self.group_by.as_ref()).into_iter().flatten();
        let value = |name: &String| labels.get(name).cloned().unwrap_or_default();
        taken.map(|at| at.to_string()).into_iter().chain(by.map(value)).collect()
    }
}

#[derive(Deserialize)]
struct Inhibition {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    #[serde(default)]
    equal: Vec<String>,
}

impl Inhibition {
    /// Does an alert that fires silence this one?
    fn silences(&self, source: &Labels, target: &Labels) -> bool {
        let same = |label: &String| {
            source.get(label).map_or("", String::as_str) == target.get(label).map_or("", String::as_str)
        };
        matches(&self.source_matchers, source)
            && matches(&self.target_matchers, target)
            && self.equal.iter().all(same)
    }
}

/// Alertmanager's matchers, as far as our configuration uses them.
fn matches(matchers: &[String], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| {
        let at = matcher.find(['=', '!']).unwrap();
        let (name, rest) = matcher.split_at(at);
        let quote = rest.find('"').unwrap();
        let (how, value) = (&rest[..quote], rest[quote..].trim_matches('"'));
        let is = labels.get(name).map_or("", String::as_str);
        let like = || regex::Regex::new(&format!("^(?:{value})$")).unwrap().is_match(is);
        match how {
            "=" => is == value,
            "!=" => is != value,
            "=~" => like(),
            "!~" => !like(),
            _ => panic!("{matcher}"),
        }
    })
}

/// The route Alertmanager gives it.
fn receiver(labels: &Labels) -> String {
    let config = root().join("config/alertmanager.yml").display().to_string();
    let labels = labels.iter().filter(|(name, _)| !name.starts_with("__") && *name != "alertstate");
    let labels = labels.map(|(name, value)| format!("{name}={value}"));
    let ran = Command::new("amtool")
        .args(["config", "routes", "test", "--config.file", &config])
        .args(labels)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

/// The pages of what fired.
pub fn pages(firing: &BTreeMap<i64, Vec<Labels>>, every: i64) -> Vec<Page> {
    let config = fs::read_to_string(root().join("config/alertmanager.yml")).unwrap();
    let config: Config = serde_saphyr::from_str(&config).unwrap();
    let mut receivers: BTreeMap<String, String> = BTreeMap::new();
    let (mut pages, mut before): (Vec<Page>, BTreeMap<Vec<String>, Labels>) = (Vec::new(), BTreeMap::new());
    let mut last = i64::MIN;
    for (at, alerts) in firing {
        if *at > last + every {
            before.clear();
        }
        last = *at;
        let silenced = |target: &Labels| {
            let by = |source: &&Labels| config.inhibit_rules.iter().any(|rule| rule.silences(source, target));
            alerts.iter().any(|source| by(&source))
        };
        let mut now = BTreeMap::new();
        for alert in alerts {
            let group = config.route.group(alert);
            let name = alert.get("alertname").cloned().unwrap_or_default();
            let to = receivers.entry(name).or_insert_with(|| receiver(alert));
            if to == "guardia" && (!silenced(alert) || before.contains_key(&group)) {
                now.insert(group, alert.clone());
            }
        }
        let label = |alert: &Labels, name: &str| alert.get(name).cloned().unwrap_or_default();
        let new = now.iter().filter(|(group, _)| !before.contains_key(*group));
        pages.extend(new.map(|(_, alert)| Page {
            at: *at,
            alert: label(alert, "alertname"),
            session: label(alert, "session"),
        }));
        before = now;
    }
    pages
}

/// What is wrong with the pages of a month: those that no outage deserves, and outages that had none or several.
pub fn faults(month: &Month, pages: &[Page]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut left: Vec<&Page> = pages.iter().collect();
    for outage in &month.outages {
        let (from, until) = (outage.from / 1000, outage.until / 1000 + 3600);
        let (its, others): (Vec<&Page>, Vec<&Page>) =
            left.into_iter().partition(|page| (from..until).contains(&page.at));
        left = others;
        if its.len() != 1 {
            let its: Vec<_> =
                its.iter().map(|page| format!("{} after {} s", page.alert, page.at - from)).collect();
            faults.push(format!("{:?}: {} pages: {}", outage.kind, its.len(), its.join(", ")));
        }
    }
    faults.extend(left.iter().map(|page| format!("a page for nothing: {page:?}")));
    faults
}
