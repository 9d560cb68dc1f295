//! Alertmanager's configuration: `amtool` takes it, each alert goes where it should, and a real Alertmanager pages once, says no more than
//! it should, and leaves the consequences alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::harness::http::{self, JSON};
use super::harness::rules::{alerts, root};
use super::harness::sidecar::output;
use super::harness::smtp::{MailServer, Rules};
use super::harness::upstream::Canned;
use super::harness::{cannot, until};

const CONFIG: &str = "config/alertmanager.yml";
const CRITICAL: &str = "WahaWatchdogBotIncomunicadoCritico";
/// What the watchdog says of it, where it pushes.
const PUSHED: &str = "Bot completamente incomunicado: ningún mensaje sale (sesión default)";

fn is_missing(program: &str) -> bool {
    let missing = Command::new(program).arg("--version").output().is_err();
    if missing {
        cannot(&format!(
            "{program} is not installed (Debian: prometheus-alertmanager): nobody has tried {CONFIG}"
        ));
    }
    missing
}

async fn amtool(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("amtool");
    command.args(arguments).current_dir(root());
    let output = output(command).await;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

#[tokio::test]
async fn amtool_takes_the_configuration_with_its_templates() {
    if is_missing("amtool") {
        return;
    }
    let said = amtool(&["check-config", CONFIG]).await.unwrap();
    assert!(said.contains("1 templates"), "{said}");
}

#[tokio::test]
async fn every_alert_goes_where_its_severity_says() {
    if is_missing("amtool") {
        return;
    }
    let file = format!("--config.file={CONFIG}");
    let goes = async |labels: &[&str], receiver: &str| {
        let verify = format!("--verify.receivers={receiver}");
        let arguments = [&["config", "routes", "test", &file, &verify], labels].concat();
        if let Err(said) = amtool(&arguments).await {
            panic!("{labels:?} must go to {receiver}: {said}");
        }
    };
    let table: [(&[&str], &str); 9] = [
        (&["alertname=Watchdog", "severity=none"], "latido"),
        (&["alertname=WahaWatchdogSimulacro", "severity=critical", "session=default"], "simulacro"),
        (&["alertname=WahaWatchdogBotIncomunicadoCritico", "severity=critical", "session=ventas"], "guardia"),
        (&["alertname=WahaWatchdogCaido", "severity=critical", "instance=tienda:9478"], "guardia"),
        (&["alertname=WahaWatchdogBotDegradado", "severity=warning", "session=default"], "aviso"),
        (&["alertname=WahaWatchdogSimulacroAtrasado", "severity=info"], "aviso"),
        (&["alertname=SomebodyElses", "severity=critical"], "guardia"),
        (&["alertname=SomebodyElses", "severity=none"], "nadie"),
        (&["alertname=SomebodyElses"], "aviso"),
    ];
    for (labels, receiver) in table {
        goes(labels, receiver).await;
    }
    for (name, rule) in alerts() {
        let receiver = match (name.as_str(), rule.severity()) {
            ("Watchdog", _) => "latido",
            ("WahaWatchdogSimulacro", _) => "simulacro",
            (_, "critical") => "guardia",
            _ => "aviso",
        };
        goes(&[&format!("alertname={name}"), &format!("severity={}", rule.severity())], receiver).await;
    }
}

#[derive(Deserialize)]
struct Shipped {
    inhibit_rules: Vec<Inhibition>,
}

#[derive(Deserialize)]
struct Inhibition {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    #[serde(default)]
    equal: Vec<String>,
}

/// Does an alert fit, as far as its name, its severity and having a session or an instance go?
fn fits(matchers: &[String], name: &str, severity: &str, whose: &str) -> bool {
    let matcher = Regex::new(r#"^(\w+)(=~|!=|=)"(.*)"$"#).unwrap();
    matchers.iter().all(|text| {
        let found = matcher.captures(text).unwrap_or_else(|| panic!("a matcher: {text}"));
        let value = match &found[1] {
            "alertname" => name,
            "severity" => severity,
            label => {
                if label == whose {
                    "something"
                } else {
                    ""
                }
            }
        };
        match &found[2] {
            "=~" => Regex::new(&format!("^(?:{})$", &found[3])).unwrap().is_match(value),
            "!=" => value != &found[3],
            _ => value == &found[3],
        }
    })
}

#[test]
fn causes_silence_their_consequences_and_never_each_other() {
    let text = fs::read_to_string(root().join(CONFIG)).unwrap();
    let shipped: Shipped = serde_saphyr::from_str(&text).unwrap();
    let alerts = alerts();
    let named = Regex::new(r"WahaWatchdog[A-Z]\w+").unwrap();
    for name in named.find_iter(&text) {
        assert!(alerts.contains_key(name.as_str()), "{CONFIG} names {}, which is no alert", name.as_str());
    }
    // What an alert is about, as its expression aggregates.
    let whose: BTreeMap<&str, &str> = alerts
        .iter()
        .map(|(name, rule)| {
            let labels = ["session", "instance", "channel"];
            let of = labels
                .into_iter()
                .find(|label| rule.annotations["summary"].contains(&format!("$labels.{label}")));
            (name.as_str(), of.unwrap_or(""))
        })
        .collect();
    let fitting = |matchers: &[String]| -> BTreeSet<&str> {
        let fit = |name: &&str| fits(matchers, name, alerts[*name].severity(), whose[name]);
        whose.keys().copied().filter(fit).collect()
    };
    let rules: Vec<_> = shipped
        .inhibit_rules
        .iter()
        .map(|rule| (fitting(&rule.source_matchers), fitting(&rule.target_matchers), &rule.equal))
        .collect();
    let silences = |source: &str, target: &str| {
        rules.iter().any(|(sources, targets, equal)| {
            let comparable = equal.iter().all(|label| (whose[source] == label) == (whose[target] == label));
            comparable && sources.contains(source) && targets.contains(target)
        })
    };
    for source in alerts.keys() {
        assert!(!silences(source, source), "{source} silences itself");
        for target in alerts.keys() {
            assert!(
                !(silences(source, target) && silences(target, source)),
                "{source} and {target} silence each other"
            );
            let critical = alerts[target].severity() == "critical";
            assert!(
                !silences(source, target) || !critical || alerts[source].severity() == "critical",
                "{source} silences the page {target}"
            );
        }
        for spared in ["Watchdog", "WahaWatchdogSimulacro"] {
            assert!(!silences(source, spared) && !silences(spared, source), "{source} and {spared}");
        }
    }
    let w = |name: &str| format!("WahaWatchdog{name}");
    for (source, target) in [
        ("BotIncomunicadoCritico", "BotIncomunicado"),
        ("BotIncomunicadoCritico", "OrdenSinNotificarAntigua"),
        ("BotIncomunicadoCritico", "OrdenesSinNotificar"),
        ("BotIncomunicado", "BotDegradado"),
        ("SesionWahaRequiereQR", "SaludWahaFallando"),
        ("OrdenSinNotificarAntigua", "OrdenesSinNotificar"),
        ("Caido", "ReiniciosFrecuentes"),
        ("AlmacenConErrores", "AlmacenSinRegistrar"),
        ("Caido", "EstadoInestable"),
        ("Ausente", "CanalDeAlertaFallando"),
    ] {
        assert!(silences(&w(source), &w(target)), "{source} silences {target}");
    }
    for (source, target) in [
        ("BotDegradado", "BotIncomunicadoCritico"),
        ("BotIncomunicadoCritico", "AlmacenLento"),
        ("BotIncomunicadoCritico", "Caido"),
        ("OrdenSinNotificarAntigua", "SaludWahaFallando"),
        ("Caido", "BotIncomunicadoCritico"),
    ] {
        assert!(!silences(&w(source), &w(target)), "{source} does not silence {target}");
    }
}

/// An Alertmanager with the shipped configuration, its outside addresses ours and its waits short.
struct Alertmanager {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    async fn start(pager: &Canned, heartbeat: &Canned, mailbox: &MailServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let templates = folder.path().join("alertmanager-templates");
        fs::create_dir(&templates).unwrap();
        for entry in fs::read_dir(root().join("config/alertmanager-templates")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), templates.join(entry.file_name())).unwrap();
        }
        let key = folder.path().join("key");
        fs::write(&key, "R0123456789ABCDEFR0123456789ABCD").unwrap();
        let mut text = fs::read_to_string(root().join(CONFIG)).unwrap();
        let mut replace = |old: &str, new: &str| {
            assert!(text.contains(old), "{CONFIG} has {old}");
            text = text.replace(old, new);
        };
        replace("global:\n", &format!("global:\n  pagerduty_url: '{}/v2/enqueue'\n", pager.url()));
        replace("/etc/alertmanager/pagerduty-routing-key", &key.display().to_string());
        replace("localhost:25", &mailbox.address.to_string());
        replace("http://localhost:8000", &heartbeat.url());
        replace("group_wait: 30s", "group_wait: 2s");
        replace("group_wait: 5s", "group_wait: 1s");
        replace("group_interval: 5m", "group_interval: 1s");
        replace("group_interval: 1m", "group_interval: 1s");
        let config = folder.path().join("alertmanager.yml");
        fs::write(&config, text).unwrap();
        // Free a moment ago, and most likely still.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let alertmanager = Self { process, address, _folder: folder };
        until("Alertmanager to be ready", async || {
            http::call(address, "GET", "/-/ready", &[], b"").await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        alertmanager
    }

    async fn post(&self, alerts: &[Value]) {
        let body = Value::from(alerts).to_string();
        let answer =
            http::call(self.address, "POST", "/api/v2/alerts", &[JSON], body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Alerts by name, and by whom they are silenced.
    async fn silenced(&self) -> BTreeMap<(String, String), usize> {
        let answer = http::call(self.address, "GET", "/api/v2/alerts", &[], b"").await.unwrap().json();
        let alerts = answer.as_array().unwrap().iter();
        let word = |alert: &Value, label: &str| alert["labels"][label].as_str().unwrap_or("").to_owned();
        alerts
            .map(|alert| {
                let by = alert["status"]["inhibitedBy"].as_array().unwrap().len();
                ((word(alert, "alertname"), word(alert, "session")), by)
            })
            .collect()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(Path::new(self._folder.path()).join("log")).unwrap_or_default();
            eprintln!("--- Alertmanager's log\n{log}--- its end");
        }
    }
}

/// An alert as Prometheus posts it, with the texts of the shipped rule.
fn alert(name: &str, session: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Value {
    let rule = &alerts()[name];
    let says: BTreeMap<_, _> = rule
        .annotations
        .iter()
        .map(|(key, text)| (key, text.replace("{{ $labels.session }}", session)))
        .collect();
    let moment = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({
        "labels": {"alertname": name, "severity": rule.severity(), "session": session},
        "annotations": says,
        "startsAt": moment(from),
        "endsAt": moment(to),
        "generatorURL": "http://prometheus.invalid/graph",
    })
}

fn events(pager: &Canned) -> Vec<Value> {
    pager.seen().iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect()
}

#[tokio::test]
async fn an_outage_is_one_page_and_one_end_and_its_consequences_are_silent() {
    if is_missing("prometheus-alertmanager") {
        return;
    }
    let accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
    let (pager, heartbeat) = (Canned::start(accepted).await, Canned::start(accepted).await);
    let mailbox = MailServer::start(Rules::default()).await;
    let alertmanager = Alertmanager::start(&pager, &heartbeat, &mailbox).await;

    // It starts now: Alertmanager tells at once what is older than its group's wait, and then the cause may come too late.
    let start = Utc::now();
    let later = start + Duration::hours(1);
    let consequences = ["OrdenesSinNotificar", "BotDegradado", "BotIncomunicado", "OrdenSinNotificarAntigua"];
    let mut all = vec![alert(CRITICAL, "default", start, later), alert("Watchdog", "", start, later)];
    all.extend(consequences.map(|name| alert(&format!("WahaWatchdog{name}"), "default", start, later)));
    // Another session is well but for this: its mail shows that mails go out.
    all.push(alert("WahaWatchdogBotDegradado", "otra", start, later));
    alertmanager.post(&all).await;
    // The watchdog pushes what Prometheus fires, with the same labels, texts of its own and a link to its panel.
    let mut pushed = alert(CRITICAL, "default", start, later);
    let panel = "https://panel.example.com/";
    pushed["annotations"] = json!({"summary": PUSHED, "description": PUSHED, "panel": panel});
    alertmanager.post(&[pushed]).await;

    until("a page", async || !events(&pager).is_empty()).await;
    until("a mail", async || !mailbox.mails().is_empty()).await;
    until("the heartbeat", async || !heartbeat.seen().is_empty()).await;
    let silenced = alertmanager.silenced().await;
    for name in consequences {
        assert_eq!(silenced[&(format!("WahaWatchdog{name}"), "default".to_owned())], 1, "{name}");
    }
    assert_eq!(silenced[&(CRITICAL.to_owned(), "default".to_owned())], 0);

    // All of it ends at once. What outlives its cause is told then, and should be.
    // The consequences first: one that outlives its cause is told. And in one piece: what ends before a flush is not
    // named by the next.
    let end = Utc::now();
    let mut ends = vec![alert("WahaWatchdogBotDegradado", "otra", start, end)];
    ends.extend(consequences.map(|name| alert(&format!("WahaWatchdog{name}"), "default", start, end)));
    ends.push(alert(CRITICAL, "default", start, end));
    alertmanager.post(&ends).await;
    until("the end of the page", async || events(&pager).len() >= 2).await;
    until("the end of the mail", async || mailbox.mails().len() >= 2).await;

    let events = events(&pager);
    let words: Vec<_> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!(words, ["trigger", "resolve"], "{events:#?}");
    let (trigger, resolve) = (&events[0], &events[1]);
    assert_eq!(trigger["dedup_key"], resolve["dedup_key"]);
    assert_eq!(trigger["routing_key"], "R0123456789ABCDEFR0123456789ABCD");
    let payload = &trigger["payload"];
    // Whichever of the two came last before it was told.
    let links = match payload["summary"].as_str().unwrap() {
        PUSHED => vec!["Qué hacer", "Panel"],
        summary => {
            assert_eq!(summary, "El bot no puede avisar a nadie (default)");
            vec!["Qué hacer"]
        }
    };
    assert_eq!((&payload["severity"], &payload["source"]), (&"critical".into(), &"default".into()));
    let shown: Vec<_> =
        trigger["links"].as_array().unwrap().iter().map(|link| link["text"].as_str().unwrap()).collect();
    assert_eq!(shown, links);
    assert!(
        trigger["links"][0]["href"].as_str().unwrap().ends_with("/WahaWatchdogBotIncomunicadoCritico.md")
    );
    for event in &events {
        let details = event["payload"]["custom_details"].as_object().unwrap();
        assert_eq!(details.keys().collect::<Vec<_>>(), ["firing", "num_firing", "num_resolved", "resolved"]);
        let text = event.to_string();
        for dump in
            ["alertname =", "Labels:", "Annotations:", "generatorURL", "prometheus.invalid", "description_en"]
        {
            assert!(!text.contains(dump), "{dump} in {text}");
        }
    }
    let firing = trigger["payload"]["custom_details"]["firing"].as_str().unwrap();
    assert!(!firing.trim().is_empty() && !firing.contains("{{ template"), "{firing}");
    let resolved = resolve["payload"]["custom_details"]["resolved"].as_str().unwrap();
    // Both of a silent session's alerts are one page, and end with it.
    let ended = |text: &str| resolved.lines().any(|line| line.starts_with(&format!("Resuelta: {text}")));
    assert!(ended("El bot no puede avisar a nadie") && ended("El bot no logra enviar"), "{resolved}");

    let mails = mailbox.mails();
    assert_eq!(mails.len(), 2, "{mails:#?}");
    for (mail, subject) in mails
        .iter()
        .zip(["[aviso] El bot funciona a medias (otra)", "[resuelto] El bot funciona a medias (otra)"])
    {
        let mail = &mail.data;
        assert!(mail.contains(&format!("Subject: {subject}")), "{mail}");
        assert!(
            mail.contains("runbooks/WahaWatchdogBotDegradado.md") || subject.starts_with("[resuelto]"),
            "{mail}"
        );
    }
    let beats: Value = serde_json::from_slice(&heartbeat.seen()[0].body).unwrap();
    assert_eq!(beats["commonLabels"]["alertname"], "Watchdog");
}
