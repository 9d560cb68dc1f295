//! The alert rules as files: `alerts/*.yml`, their cases under `alerts/tests`, and the pages they link to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector, parse};
use promql_parser::util::{ExprVisitor, walk_expr};
use regex::Regex;
use serde::Deserialize;

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder with this ending, in order.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "no {ending} in {folder}");
    files
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> T {
    let text = fs::read_to_string(file).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A rule: an alert or a record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub alert: Option<String>,
    pub record: Option<String>,
    pub expr: String,
    #[serde(default, rename = "for")]
    _pending: Option<String>,
    #[serde(default, rename = "keep_firing_for")]
    pub keeps: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl Rule {
    pub fn severity(&self) -> &str {
        self.labels.get("severity").map_or("", String::as_str)
    }
}

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// All rules.
pub fn rules() -> Vec<Rule> {
    let files = files("alerts", ".yml");
    let groups = files.iter().flat_map(|file| read::<RuleFile>(file).groups);
    groups.flat_map(|group| group.rules).collect()
}

/// The alerts among them, by name.
pub fn alerts() -> BTreeMap<String, Rule> {
    let mut alerts = BTreeMap::new();
    for rule in rules() {
        if let Some(name) = rule.alert.clone() {
            assert!(alerts.insert(name.clone(), rule).is_none(), "{name} is there twice");
        }
    }
    alerts
}

#[derive(Deserialize)]
struct CaseFile {
    tests: Vec<Cases>,
}

/// One `promtool` test.
#[derive(Deserialize)]
pub struct Cases {
    #[serde(default)]
    pub alert_rule_test: Vec<AlertCase>,
    #[serde(default)]
    pub promql_expr_test: Vec<ExprCase>,
}

#[derive(Deserialize)]
pub struct AlertCase {
    pub alertname: String,
    #[serde(default)]
    pub exp_alerts: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
pub struct ExprCase {
    pub expr: String,
}

/// All `promtool` tests.
pub fn cases() -> Vec<Cases> {
    files("alerts/tests", ".yml").iter().flat_map(|file| read::<CaseFile>(file).tests).collect()
}

/// What `/metrics` shows: labels and their values by series name.
#[derive(Debug, Default)]
pub struct Shown(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Shown {
    pub fn of(text: &str) -> Self {
        let label = Regex::new(r#"([a-z_]+)="([^"]*)""#).unwrap();
        let mut shown = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap().to_owned();
            let labels = shown.0.entry(name).or_default();
            for found in label.captures_iter(line) {
                labels.entry(found[1].to_owned()).or_default().insert(found[2].to_owned());
            }
        }
        assert!(shown.0.len() > 50, "{:?}", shown.0.keys());
        shown
    }

    /// What is wrong with an expression: series that are not shown, labels they do not have, values these never take. `recorded` are
    /// the names of recording rules.
    pub fn faults(&self, expr: &str, recorded: &BTreeSet<String>) -> Vec<String> {
        let parsed = match parse(expr) {
            Ok(parsed) => parsed,
            Err(why) => return vec![format!("{why} in {expr}")],
        };
        let mut selectors = Selectors::default();
        walk_expr(&mut selectors, &parsed).unwrap();
        selectors.0.iter().flat_map(|selector| self.faults_of(selector, recorded)).collect()
    }

    fn faults_of(&self, selector: &VectorSelector, recorded: &BTreeSet<String>) -> Vec<String> {
        let name = selector.name.as_deref().unwrap_or("a selector without a name");
        // Prometheus' own.
        if matches!(name, "up" | "ALERTS") || recorded.contains(name) {
            return Vec::new();
        }
        let Some(labels) = self.0.get(name) else { return vec![format!("/metrics has no {name}")] };
        let matchers =
            selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten());
        let mut faults = Vec::new();
        for matcher in
            matchers.filter(|matcher| !matches!(matcher.name.as_str(), "job" | "instance" | "session"))
        {
            let Some(values) = labels.get(&matcher.name) else {
                faults.push(format!("{name} has no label {}", matcher.name));
                continue;
            };
            let named = named(matcher);
            faults.extend(
                named
                    .filter(|value| !values.contains(*value))
                    .map(|value| format!("{name} has no {}={value:?}, only {values:?}", matcher.name)),
            );
        }
        faults
    }
}

/// The values a matcher names.
fn named(matcher: &Matcher) -> impl Iterator<Item = &str> {
    let is_list = matches!(matcher.op, MatchOp::Re(_) | MatchOp::NotRe(_));
    let whole = (!is_list).then_some(matcher.value.as_str());
    let list = is_list.then(|| matcher.value.split('|')).into_iter().flatten();
    whole.into_iter().chain(list)
}

#[derive(Default)]
struct Selectors(Vec<VectorSelector>);

impl ExprVisitor for Selectors {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
        match expr {
            Expr::VectorSelector(selector) => self.0.push(selector.clone()),
            Expr::MatrixSelector(matrix) => self.0.push(matrix.vs.clone()),
            _ => {}
        }
        Ok(true)
    }
}
