//! The dashboards as tests see them: their panels, their variables, and every query in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use promql_parser::parser::{self, Expr, MatrixSelector, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

/// Where the dashboards lie.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

/// A dashboard.
pub struct Board {
    pub file: String,
    pub json: Value,
}

/// A query of a dashboard.
#[derive(Debug, Clone)]
pub struct Query {
    /// File, panel and letter: for messages, and for lists of exceptions.
    pub place: String,
    pub title: String,
    pub letter: String,
    pub expr: String,
    /// Asked for one moment, not for a span.
    pub instant: bool,
}

/// What stands for Grafana's variables in a query.
pub struct Stand<'a> {
    pub job: &'a str,
    pub session: &'a str,
    pub rate_interval: &'a str,
    pub range: &'a str,
}

/// All dashboards, by file name.
pub fn boards() -> Vec<Board> {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        Board { json: serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}")), file }
    };
    files.iter().filter(|path| path.extension().is_some_and(|end| end == "json")).map(read).collect()
}

impl Board {
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.json.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// All panels, those in rows too, rows themselves not.
    pub fn panels(&self) -> Vec<&Value> {
        let mut panels = Vec::new();
        for panel in self.list("/panels") {
            panels.push(panel);
            panels.extend(panel["panels"].as_array().into_iter().flatten());
        }
        panels.retain(|panel| panel["type"] != "row");
        panels
    }

    pub fn variables(&self) -> &[Value] {
        self.list("/templating/list")
    }

    /// Of panels, then of annotations.
    pub fn queries(&self) -> Vec<Query> {
        let mut queries = Vec::new();
        for panel in self.panels() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let letter = text(&target["refId"]);
                let title = text(&panel["title"]);
                queries.push(Query {
                    place: format!("{}: {title} {letter}", self.file),
                    title,
                    letter,
                    expr: text(&target["expr"]),
                    instant: target["instant"] == true,
                });
            }
        }
        for annotation in self.list("/annotations/list") {
            let title = text(&annotation["name"]);
            queries.push(Query {
                place: format!("{}: {title}", self.file),
                title,
                letter: "-".to_owned(),
                expr: text(&annotation["expr"]),
                instant: false,
            });
        }
        queries
    }
}

/// A text, or nothing.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Stand<'_> {
    /// The query as Grafana would send it.
    pub fn fill(&self, expr: &str) -> String {
        let pairs = [
            ("$__rate_interval", self.rate_interval),
            ("$__range", self.range),
            ("$job", self.job),
            ("$session", self.session),
        ];
        let filled = pairs.iter().fold(expr.to_owned(), |expr, (name, value)| expr.replace(name, value));
        assert!(!filled.contains('$'), "a variable nobody knows: {filled}");
        filled
    }
}

/// The selectors of a query that was filled, each with the span it looks over, if any, and the function around it.
pub fn selectors(filled: &str) -> Result<Vec<Selector>, String> {
    let mut seen = Seen::default();
    let expr = parser::parse(filled)?;
    let _whole = walk_expr(&mut seen, &expr)?;
    Ok(seen.0)
}

#[derive(Debug, Clone)]
pub struct Selector {
    pub metric: String,
    /// Label and value of each matcher, and whether it is an equality.
    pub matchers: Vec<(String, String, bool)>,
    pub span: Option<std::time::Duration>,
    pub function: Option<&'static str>,
}

#[derive(Default)]
struct Seen(Vec<Selector>);

impl ExprVisitor for Seen {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        match expr {
            Expr::Call(call) => {
                for arg in &call.args.args {
                    if let Expr::MatrixSelector(MatrixSelector { vs, range }) = &**arg {
                        self.add(vs, Some(*range), Some(call.func.name));
                    }
                }
            }
            Expr::VectorSelector(selector) => self.add(selector, None, None),
            _ => {}
        }
        Ok(true)
    }
}

impl Seen {
    fn add(
        &mut self,
        selector: &VectorSelector,
        span: Option<std::time::Duration>,
        function: Option<&'static str>,
    ) {
        let equal =
            |one: &promql_parser::label::Matcher| matches!(one.op, promql_parser::label::MatchOp::Equal);
        let matchers = selector.matchers.matchers.iter();
        self.0.push(Selector {
            metric: selector.name.clone().unwrap_or_default(),
            matchers: matchers.map(|one| (one.name.clone(), one.value.clone(), equal(one))).collect(),
            span,
            function,
        });
    }
}

/// The family of a series: histograms have three kinds of them.
pub fn family(metric: &str) -> &str {
    ["_bucket", "_count", "_sum"].iter().find_map(|end| metric.strip_suffix(end)).unwrap_or(metric)
}

/// Families that Prometheus makes itself.
pub const OF_PROMETHEUS: [&str; 2] = ["ALERTS", "up"];

/// The families of ours that the dashboards name, in queries and in variables.
pub fn families_named(boards: &[Board]) -> BTreeSet<String> {
    let stand = Stand { job: "j", session: "s", rate_interval: "1m", range: "1h" };
    let mut named = BTreeSet::new();
    for board in boards {
        for query in board.queries() {
            let selectors =
                selectors(&stand.fill(&query.expr)).unwrap_or_else(|e| panic!("{}: {e}", query.place));
            named.extend(selectors.iter().map(|one| family(&one.metric).to_owned()));
        }
        for variable in board.variables() {
            if let Some(selector) = label_values(&text(&variable["query"])) {
                let selectors = selectors(&stand.fill(&selector)).unwrap();
                named.extend(selectors.into_iter().map(|one| one.metric));
            }
        }
    }
    named.retain(|name| !OF_PROMETHEUS.contains(&name.as_str()));
    named
}

/// What a variable's `label_values(SELECTOR, LABEL)` looks at.
pub fn label_values(query: &str) -> Option<String> {
    let (selector, _label) = query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(',')?;
    Some(selector.trim().to_owned())
}
