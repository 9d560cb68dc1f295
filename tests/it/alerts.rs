//! The alert rules: what each says, that each has cases on both sides, that all they name exists, and that `promtool` takes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use regex::Regex;

use super::harness::rules::{Rule, Shown, alerts, cases, files, root, rules};
use super::harness::sidecar::output;
use super::harness::{CHAT, Config, cannot, pair};

const SEVERITIES: [&str; 4] = ["critical", "warning", "info", "none"];
const HEADINGS: [&str; 4] = ["## Significado", "## Impacto", "## Diagnóstico", "## Mitigación"];
const ANNOTATIONS: [&str; 5] = ["description", "description_en", "runbook_url", "summary", "summary_en"];
/// The dead man's switch: it always fires.
const ALWAYS: &str = "Watchdog";
/// What the watchdog itself pushes, with these very labels and no others.
const PUSHED: [&str; 3] =
    ["WahaWatchdogBotIncomunicadoCritico", "WahaWatchdogBotIncomunicado", "WahaWatchdogSimulacro"];

#[test]
fn every_alert_says_what_it_must_in_both_languages() {
    let mut faults = Vec::new();
    for (name, rule) in alerts() {
        let mut fault = |what: String| faults.push(format!("{name}: {what}"));
        if !name.starts_with("WahaWatchdog") && name != ALWAYS {
            fault("its name does not begin with WahaWatchdog".to_owned());
        }
        if !SEVERITIES.contains(&rule.severity()) {
            fault(format!("the severity {:?} is none of {SEVERITIES:?}", rule.severity()));
        }
        // More labels would make two alerts of one where the watchdog pushes it too.
        if rule.labels.len() != 1 {
            fault(format!("labels beside the severity: {:?}", rule.labels));
        }
        let said: Vec<_> =
            rule.annotations.iter().filter(|(_, text)| !text.trim().is_empty()).map(|(key, _)| key).collect();
        if said != ANNOTATIONS {
            fault(format!("its annotations are {said:?}, not {ANNOTATIONS:?}"));
            continue;
        }
        for text in ["summary", "description"] {
            if rule.annotations[text] == rule.annotations[&format!("{text}_en")] {
                fault(format!("its {text} is the same in both languages"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    for name in PUSHED {
        let rule = &alerts()[name];
        assert!(rule.expr.starts_with("max by (session) ("), "{name}: {}", rule.expr);
        assert_eq!(
            rule.keeps.as_deref(),
            Some("2m"),
            "{name}: as long as alerts.alertmanager.keep_firing_for"
        );
        assert_eq!(rule.severity(), "critical", "{name}");
    }
}

#[test]
fn every_alert_has_a_page_that_says_what_to_do() {
    let (alerts, folder) = (alerts(), root().join("docs/runbooks"));
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let bases: BTreeSet<_> = alerts
        .iter()
        .map(|(name, rule)| {
            let url = &rule.annotations["runbook_url"];
            url.strip_suffix(&format!("{name}.md")).unwrap_or_else(|| panic!("{name} links to {url}"))
        })
        .collect();
    assert_eq!(bases.len(), 1, "the pages have one address: {bases:?}");
    let base = bases.first().unwrap();
    assert!(index.contains(&format!("`{base}`")), "docs/runbooks/README.md names the address {base}");
    for file in files("config/alertmanager-templates", ".tmpl") {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(
            text.matches("https://").count(),
            text.matches(base).count(),
            "{} has {base}",
            file.display()
        );
    }
    for name in alerts.keys() {
        let page = fs::read_to_string(folder.join(format!("{name}.md")))
            .unwrap_or_else(|error| panic!("docs/runbooks/{name}.md: {error}"));
        let mut lines = page.lines();
        assert_eq!(lines.next(), Some(format!("# {name}").as_str()), "its title");
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, HEADINGS, "{name}");
        for part in page.split("\n## ").skip(1) {
            let (heading, text) = part.split_once('\n').unwrap();
            assert!(text.trim().len() > 20, "{name}: {heading} says nothing");
        }
        assert!(index.contains(&format!("[{name}]({name}.md)")), "docs/runbooks/README.md lists {name}");
    }
    for file in files("docs/runbooks", ".md") {
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(name == "README" || alerts.contains_key(name), "{name}.md is about no alert");
    }
}

#[test]
fn every_alert_fires_in_one_case_and_not_in_another_and_every_record_has_one() {
    let (mut fires, mut quiet, mut expressions) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for test in cases() {
        for case in test.alert_rule_test {
            let set = if case.exp_alerts.is_empty() { &mut quiet } else { &mut fires };
            set.insert(case.alertname);
        }
        expressions.extend(test.promql_expr_test.into_iter().map(|case| case.expr));
    }
    let alerts = alerts();
    for name in alerts.keys() {
        assert!(fires.contains(name), "no case under alerts/tests in which {name} fires");
        assert!(
            quiet.contains(name) || name == ALWAYS,
            "no case under alerts/tests in which {name} does not fire"
        );
    }
    for name in fires.union(&quiet) {
        assert!(alerts.contains_key(name), "alerts/tests speaks of {name}, which is no alert");
    }
    for record in rules().into_iter().filter_map(|rule| rule.record) {
        assert!(expressions.contains(&record), "no case under alerts/tests for {record}");
    }
}

#[tokio::test]
async fn rules_and_pages_name_only_what_the_binary_shows() {
    let (_waha, sidecar) = pair(Config::acting()).await;
    assert_eq!(sidecar.bot().text(CHAT, "hola").await.status, 201);
    let shown = Shown::of(&sidecar.metrics().await);
    let recorded: BTreeSet<_> = rules().into_iter().filter_map(|rule| rule.record).collect();
    let mut asked = 0;
    let mut faults = Vec::new();
    let mut look = |place: &str, expr: &str| {
        asked += 1;
        faults.extend(shown.faults(expr, &recorded).into_iter().map(|fault| format!("{place}: {fault}")));
    };
    let query = Regex::new(r#"printf "([^"]*)" \$labels\.session \| query"#).unwrap();
    for rule in rules() {
        let name = rule.alert.as_ref().or(rule.record.as_ref()).unwrap();
        look(name, &rule.expr);
        for text in rule.annotations.values() {
            let whole = text.matches("| query").count();
            let mut found = 0;
            for asks in query.captures_iter(text) {
                look(name, &asks[1].replace("%q", "\"default\""));
                found += 1;
            }
            assert_eq!(found, whole, "{name}: each query of {text} was understood");
        }
    }
    for file in files("docs/runbooks", ".md") {
        let page = fs::read_to_string(&file).unwrap();
        for fence in page.split("```promql\n").skip(1) {
            for line in fence.split("```").next().unwrap().lines() {
                look(&file.file_name().unwrap().to_string_lossy(), line);
            }
        }
    }
    assert!(asked > 100, "{asked} expressions");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_wrong_name_or_label_or_value_is_seen() {
    let lines: Vec<_> = (0..60).map(|n| format!("series_{n}{{status=\"online\"}} 1\n")).collect();
    let shown = Shown::of(&lines.concat());
    let recorded = BTreeSet::from(["a:b".to_owned()]);
    for (expr, faults) in [
        ("max by (session) (series_1{status=\"online\"}) == 1", 0),
        ("a:b > 1 and up == 1", 0),
        ("rate(nothing[5m]) + series_1", 1),
        ("series_1{state=\"online\"}", 1),
        ("sum(increase(series_1{status=~\"online|onlime\"}[5m]))", 1),
        ("series_1{status!~\"ofline|online\"} unless nothing", 2),
        ("max by (", 1),
    ] {
        assert_eq!(
            shown.faults(expr, &recorded).len(),
            faults,
            "{expr}: {:?}",
            shown.faults(expr, &recorded)
        );
    }
}

#[tokio::test]
async fn promtool_takes_the_rules_their_cases_and_the_metrics() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return cannot("promtool is not installed (Debian: prometheus): nobody has tried the alert rules");
    }
    let run = async |arguments: &[&str], files: Vec<std::path::PathBuf>| {
        let mut command = Command::new("promtool");
        command.args(arguments).args(files);
        let output = output(command).await;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
    };
    run(&["check", "rules"], files("alerts", ".yml")).await;
    run(&["test", "rules"], files("alerts/tests", ".yml")).await;

    let (_waha, sidecar) = pair(Config::acting()).await;
    assert_eq!(sidecar.bot().text(CHAT, "hola").await.status, 201);
    let metrics = sidecar.metrics().await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "promtool check metrics:\n{said}");
}

/// The alerts that page: customers who wait, a silent channel, a blind or deaf watchdog, a drill. Another one is a decision, not an accident.
#[test]
fn only_these_page() {
    let critical: BTreeMap<String, Rule> =
        alerts().into_iter().filter(|(_, rule)| rule.severity() == "critical").collect();
    let names: Vec<_> = critical.keys().map(|name| name.trim_start_matches("WahaWatchdog")).collect();
    assert_eq!(
        names,
        [
            "AlmacenConErrores",
            "AlmacenSinRegistrar",
            "Ausente",
            "BotIncomunicado",
            "BotIncomunicadoCritico",
            "BotOffline",
            "Caido",
            "ConsumoDePresupuestoRapido",
            "OrdenSinNotificarAntigua",
            "SesionWahaRequiereQR",
            "Simulacro",
        ]
    );
}
