//! The dashboards by themselves: Grafana's schema, the rules of Grafana's dashboard linter, links, words and colours.
//!
//! `tests/it/dashboards.rs` asks their queries of a real Prometheus. No Grafana server is at hand in either.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, missing_docs, unreachable_pub)]

#[path = "dashboards/board.rs"]
#[allow(dead_code)]
mod board;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use board::{Board, Query, Stand, boards, family, label_values, selectors, text};
use serde_json::{Value, json};
use waha_watchdog::domain::status::Status;

/// Spans no query would name: so that it is seen which variable stood there.
const STAND: Stand<'_> =
    Stand { job: "THE-JOB", session: "THE-SESSION", rate_interval: "7m13s", range: "3h17m" };
const RATE_INTERVAL: Duration = Duration::from_secs(7 * 60 + 13);
const RANGE: Duration = Duration::from_secs((3 * 60 + 17) * 60);

/// Units of Grafana that are used here.
const UNITS: [&str; 6] = ["bytes", "dateTimeAsIso", "opm", "percentunit", "s", "short"];

/// Rules of the linter that a panel may break, and why. (rule, panel, why)
const EXEMPT: [(&str, &str, &str); 3] = [
    ("rate interval", "Tasa de éxito (24 h)", "its span is its meaning, whatever the panel's width"),
    ("rate interval", "Cambios de estado -", "annotations have no width: two scrapes and a margin"),
    ("job", "Alertas activas", "the rules aggregate by session, so alerts carry no job"),
];
// Rules that are left out: instance (a sidecar serves one bot, and its session says which), LogQL (there is none).

/// Pages of the panel that dashboards lead to.
const PANEL_PAGES: [&str; 4] = ["/panel/", "/panel/incidents", "/panel/orders", "/panel/undecided"];

fn queries(board: &Board) -> Vec<(Query, Vec<board::Selector>)> {
    let parsed = |query: Query| {
        let selectors =
            selectors(&STAND.fill(&query.expr)).unwrap_or_else(|e| panic!("{}: {e}", query.place));
        (query, selectors)
    };
    board.queries().into_iter().map(parsed).collect()
}

/// Is this exempt? Notes that the exemption is needed.
fn exempt(used: &mut BTreeSet<usize>, rule: &str, query: &Query) -> bool {
    let place = format!("{} {}", query.title, query.letter);
    let known =
        EXEMPT.iter().position(|(of, panel, _)| *of == rule && (*panel == query.title || *panel == place));
    known.is_some_and(|at| {
        used.insert(at);
        true
    })
}

#[test]
fn they_are_dashboards_by_grafanas_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/grafana/dashboard.jsonschema.json");
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    // Two fields that hold anything came out as objects: the name that an override fits is a text everywhere.
    for field in
        ["/definitions/MatcherConfig/properties/options", "/definitions/DynamicConfigValue/properties/value"]
    {
        let field = schema.pointer_mut(field).unwrap();
        assert_eq!(field["type"], "object");
        *field = json!({});
    }
    // Of a panel alone the messages say what is wrong.
    let mut panel = schema.clone();
    panel["$ref"] = json!("#/definitions/Panel");
    let panel = jsonschema::validator_for(&panel).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let boards = boards();
    assert_eq!(boards.len(), 2);
    for board in boards {
        for one in board.panels() {
            let faults: Vec<_> =
                panel.iter_errors(one).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(faults.is_empty(), "{}: {}: {faults:#?}", board.file, one["title"]);
        }
        let faults: Vec<_> =
            schema.iter_errors(&board.json).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(faults.is_empty(), "{}: {faults:#?}", board.file);
        // The schema bites.
        let mut broken = board.json.clone();
        broken["panels"][1]["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"] = json!(7);
        assert!(!schema.is_valid(&broken));
    }
}

#[test]
fn they_can_be_provisioned() {
    let mut uids = BTreeSet::new();
    for board in boards() {
        let json = &board.json;
        let version = json["schemaVersion"].as_i64().unwrap();
        assert!((39..=41).contains(&version), "{}: schemaVersion {version}", board.file);
        for key in ["id", "__inputs", "__requires", "iteration"] {
            assert!(json.get(key).is_none(), "{}: {key} belongs to one Grafana", board.file);
        }
        let uid = text(&json["uid"]);
        assert!((8..=40).contains(&uid.len()), "{}: uid {uid}", board.file);
        assert!(uids.insert(uid), "{}: its uid is another's", board.file);
        assert_eq!(
            json["editable"], false,
            "{}: a provisioned dashboard is not edited in Grafana",
            board.file
        );
        assert!(!text(&json["title"]).is_empty() && !text(&json["description"]).is_empty());

        let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        for panel in board.list("/panels") {
            let title = text(&panel["title"]);
            assert!(
                ids.insert(panel["id"].as_i64().unwrap()),
                "{}: {title}: its id is another's",
                board.file
            );
            assert!(titles.insert(title.clone()), "{}: two panels are called {title}", board.file);
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{}: {title} is too wide", board.file);
            for cell in
                (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                if let Some(other) = cells.insert(cell, title.clone()) {
                    panic!("{}: {title} lies on {other}", board.file);
                }
            }
        }
    }
}

#[test]
fn variables_are_as_the_linter_wants_them() {
    for board in boards() {
        let names: Vec<_> = board.variables().iter().map(|one| text(&one["name"])).collect();
        assert_eq!(names, ["datasource", "job", "session", "panel_url"], "{}", board.file);
        let [source, job, session, panel_url] = board.variables() else { unreachable!() };
        assert_eq!((&source["type"], &source["query"]), (&json!("datasource"), &json!("prometheus")));
        assert_eq!(source["label"], "Data Source", "{}", board.file);
        for variable in [job, session] {
            let (name, query) = (text(&variable["name"]), text(&variable["query"]));
            assert_eq!(variable["type"], "query", "{name}");
            assert_eq!(variable["label"], variable["name"]);
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{name}");
            assert_eq!((&variable["multi"], &variable["includeAll"]), (&json!(true), &json!(true)), "{name}");
            assert_eq!(variable["allValue"], ".+", "{name}");
            assert_eq!(variable["refresh"], 2, "{name} is asked again when the time changes");
            assert_eq!(variable["definition"], variable["query"]);
            let selector = label_values(&query).unwrap_or_else(|| panic!("{name}: {query}"));
            assert_eq!(selectors(&STAND.fill(&selector)).unwrap().len(), 1, "{name}: {query}");
            assert!(query.ends_with(&format!(", {name})")), "{name}: {query}");
        }
        assert!(text(&session["query"]).contains(r#"{job=~"$job"}"#), "sessions are those of the job");
        // Set once in the file: a link may not be bent by who sends a link to the dashboard.
        assert_eq!((&panel_url["type"], &panel_url["skipUrlSync"]), (&json!("constant"), &json!(true)));
        assert_eq!(panel_url["query"], panel_url["current"]["value"]);
        assert!(!text(&panel_url["query"]).ends_with('/'));
    }
}

#[test]
fn panels_are_as_the_linter_wants_them() {
    for board in boards() {
        for panel in board.panels() {
            let (title, kind) = (text(&panel["title"]), text(&panel["type"]));
            let place = format!("{}: {title}", board.file);
            assert!(
                !title.is_empty() && text(&panel["description"]).len() > 20,
                "{place}: title and description"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{place}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{place} shows nothing");
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}");
                assert_ne!(target["instant"], target["range"], "{place}: one of them");
                let is_table = target["format"] == "table";
                assert_eq!(is_table, kind == "table", "{place}");
                assert!(is_table || !text(&target["legendFormat"]).is_empty(), "{place}: what is it called?");
            }
            let defaults = &panel["fieldConfig"]["defaults"];
            let shows_names = panel["options"]["textMode"] == "name";
            let is_mapped = !defaults["mappings"].as_array().unwrap().is_empty();
            let mut units = vec![&defaults["unit"]];
            units.extend(properties(panel).filter(|one| one["id"] == "unit").map(|one| &one["value"]));
            let units: Vec<_> = units.into_iter().filter_map(Value::as_str).collect();
            assert!(!units.is_empty() || shows_names || is_mapped || kind == "table", "{place} has no unit");
            assert!(units.iter().all(|unit| UNITS.contains(unit)), "{place}: {units:?}");
            let may_be_empty = text(&defaults["noValue"]);
            assert!(!may_be_empty.contains("No data"), "{place}");
        }
    }
}

#[test]
fn queries_are_as_the_linter_wants_them() {
    let mut used = BTreeSet::new();
    for board in boards() {
        for (query, selectors) in queries(&board) {
            let place = &query.place;
            assert!(!selectors.is_empty(), "{place} asks for nothing");
            for selector in &selectors {
                let metric = &selector.metric;
                let of_job = selector
                    .matchers
                    .iter()
                    .any(|(label, value, equal)| label == "job" && value == STAND.job && !equal);
                assert!(of_job || exempt(&mut used, "job", &query), "{place}: {metric} of any job");
                let takes_rate = matches!(selector.function, Some("rate" | "irate" | "increase" | "changes"));
                let is_counter = family(metric).ends_with("_total") || metric.ends_with("_bucket");
                assert!(
                    !is_counter || takes_rate,
                    "{place}: {metric} is a counter, and only its rate means anything"
                );
                if takes_rate {
                    let span = selector.span.unwrap();
                    // What is asked for one moment may sum up the whole time that is chosen.
                    let fine = span == RATE_INTERVAL || span == RANGE && query.instant;
                    assert!(
                        fine || exempt(&mut used, "rate interval", &query),
                        "{place}: {metric} over {span:?}"
                    );
                }
                if selector.function == Some("rate") {
                    assert!(is_counter, "{place}: {metric} is no counter");
                }
            }
        }
    }
    let idle: Vec<_> = EXEMPT.iter().enumerate().filter(|(at, _)| !used.contains(at)).collect();
    assert!(idle.is_empty(), "exemptions that nobody needs: {idle:?}");
}

#[test]
fn sessions_are_told_apart_where_there_are_any() {
    // Families of the whole process have no such label.
    let whole = regex::Regex::new(
        "^(up|process_.*|waha_watchdog_(store_.*|proxy_.*|build_info|config_.*|event_feed_(followed|connected)|alert.*|drill_last_.*|recovery_paused|upstream_inflight_requests))$",
    )
    .unwrap();
    for board in boards() {
        for (query, selectors) in queries(&board) {
            for selector in selectors {
                let of_session = selector
                    .matchers
                    .iter()
                    .any(|(label, value, _)| label == "session" && value.starts_with(STAND.session));
                assert_ne!(
                    of_session,
                    whole.is_match(&selector.metric),
                    "{}: {}",
                    query.place,
                    selector.metric
                );
            }
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let boards = boards();
    let uids: BTreeSet<_> = boards.iter().map(|board| format!("/d/{}", text(&board.json["uid"]))).collect();
    let mut panel_pages = BTreeSet::new();
    let mut found = 0;
    for board in &boards {
        let mut links = Vec::new();
        collect_links(&board.json, &mut links);
        for url in links {
            found += 1;
            if let Some(path) = url.strip_prefix("${panel_url:raw}") {
                let path = path.split('?').next().unwrap();
                assert!(PANEL_PAGES.contains(&path), "{}: the panel has no {path}", board.file);
                panel_pages.insert(path.to_owned());
            } else {
                assert!(uids.contains(&url), "{}: no dashboard {url}", board.file);
            }
        }
    }
    assert!(found >= 12, "{found} links");
    assert_eq!(panel_pages.len(), PANEL_PAGES.len(), "pages nobody leads to: {panel_pages:?}");
    // Each row of the table leads to its order.
    let orders = boards.iter().find(|board| board.file == "ordenes-sin-notificar.json").unwrap();
    let mut links = Vec::new();
    collect_links(&orders.json, &mut links);
    assert!(
        links.iter().any(|url| url.contains("orders?q=${__data.fields.order:percentencode}")),
        "{links:?}"
    );
    if let Ok(panel) = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/panel.rs")) {
        for page in PANEL_PAGES {
            assert!(panel.contains(&format!(".route(\"{page}\"")), "src/panel.rs has no {page}");
        }
    }
}

#[test]
fn every_status_has_its_colour_and_its_words() {
    let boards = boards();
    let panel = |title: &str| {
        let panels = boards.iter().flat_map(Board::panels).filter(|panel| panel["title"] == title);
        panels.collect::<Vec<_>>()
    };
    let [now, small] = panel("Estado actual")[..] else { panic!("two panels show the present status") };
    let mut colours = BTreeSet::new();
    for status in Status::ALL {
        // As names of the state set.
        let overrides = now["fieldConfig"]["overrides"].as_array().unwrap().iter();
        let of_it: Vec<_> = overrides
            .filter(|one| {
                let pattern = text(&one["matcher"]["options"]);
                let pattern = regex::Regex::new(pattern.trim_matches('/')).unwrap();
                pattern.is_match(&format!("default: {status}"))
            })
            .collect();
        assert_eq!(of_it.len(), 1, "{status}");
        let property = |id: &str| {
            let properties = of_it[0]["properties"].as_array().unwrap();
            properties.iter().find(|one| one["id"] == id).map(|one| &one["value"]).unwrap()
        };
        let words = text(property("displayName"));
        assert!(words.starts_with("${__field.labels.session}: "), "{status}: {words}");
        let colour = text(&property("color")["fixedColor"]);
        // As numbers.
        let history = panel("Historia del estado")[0];
        for mapped in [small, history] {
            let mapping =
                &mapped["fieldConfig"]["defaults"]["mappings"][0]["options"][status.code().to_string()];
            assert_eq!(text(&mapping["color"]), colour, "{status}: {}", mapped["title"]);
            assert!(words.ends_with(&text(&mapping["text"])), "{status}: {words}");
        }
        assert!(colours.insert(colour), "{status} looks like another");
    }
}

fn properties(panel: &Value) -> impl Iterator<Item = &Value> {
    let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    overrides.flat_map(|one| one["properties"].as_array().into_iter().flatten())
}

/// Every `url` in it.
fn collect_links(value: &Value, links: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            links.extend(map.get("url").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|inside| collect_links(inside, links));
        }
        Value::Array(list) => list.iter().for_each(|inside| collect_links(inside, links)),
        _ => {}
    }
}
