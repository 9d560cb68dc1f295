//! What must fit together in `[paging]` and `[alerts]`, and what is never shown.

use crate::config::{Config, Loaded, MailSecurity, PagingOwner, load};
use crate::domain::delivery::Topic;

fn loaded(text: &str) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.toml");
    std::fs::write(&path, text).unwrap();
    load(Some(&path), &[]).map_err(|faults| faults.to_string().replace(path.to_str().unwrap(), "x.toml"))
}

fn config(text: &str) -> Config {
    loaded(text).unwrap_or_else(|faults| panic!("{faults}\n{text}")).config
}

#[track_caller]
fn faults(text: &str, expected: &[&str]) {
    let got = loaded(text).map(|_| ()).unwrap_err();
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "\n{got}\n");
}

const KEY: &str = "R0123456789abcdef0123456789abcde";

#[test]
fn exactly_one_pages() {
    let none = config("");
    assert_eq!(none.alerts.owner, PagingOwner::Alertmanager);
    assert!(
        none.alerts.pagerduty.is_none() && none.alerts.email.is_none() && none.alerts.heartbeat.is_none()
    );
    faults(
        "[paging]\nowner = \"direct\"",
        &[
            "paging.owner = \"direct\" (x.toml): needs alerts.pagerduty.routing_key or alerts.pagerduty.routing_key_file: nobody would be paged",
        ],
    );
    faults(
        &format!("[alerts.pagerduty]\nrouting_key = \"{KEY}\""),
        &[
            "paging.owner = \"alertmanager\" (defaults): says that Alertmanager pages, and alerts.pagerduty.routing_key would page a second time: set paging.owner = \"direct\", or take the key away",
        ],
    );
    faults(
        "[paging]\nowner = \"push\"",
        &["paging.owner = \"push\" (x.toml): needs alerts.alertmanager.urls: there is nowhere to push to"],
    );
    let push = config(
        "[paging]\nowner = \"push\"\n[alerts.alertmanager]\nurls = [\"http://am:9093/\"]\nlabels = [\"cluster=shop\"]",
    );
    let manager = push.alerts.alertmanager.unwrap();
    assert_eq!(manager.urls, ["http://am:9093"]);
    assert_eq!(manager.labels, [("cluster".to_owned(), "shop".to_owned())]);
    faults(
        "[alerts.alertmanager]\nlabels = [\"severity=none\"]",
        &[
            "alerts.alertmanager.labels = [\"severity=none\"] (x.toml): must be a list of up to 20 texts like name=value; \"severity=none\" is not allowed",
        ],
    );
}

#[test]
fn half_a_channel_is_a_fault() {
    faults(
        "[alerts.email]\nhost = \"mail.example.com\"\nuser = \"dog\"\nto = [\"ana@example.com\"]",
        &[
            "alerts.email.host = \"mail.example.com\" (x.toml): needs alerts.email.from as well",
            "alerts.email.user = \"dog\" (x.toml): needs alerts.email.password as well",
        ],
    );
    faults(
        "[alerts.sms]\nto = [\"+15550002222\", \"call me\"]",
        &[
            "alerts.sms.to = [\"+15550002222\", \"call me\"] (x.toml): must be a list of up to 20 numbers like +15550001111; \"call me\" is not allowed",
        ],
    );
    faults(
        "[alerts.webhook]\nurl = \"https://hooks.example.com/T0/secret\"",
        &[
            "alerts.webhook.url = \"https://hooks.example.com/***\" (x.toml): needs alerts.webhook.secret as well",
        ],
    );
    faults(
        "[alerts.email]\nevents = [\"total_lost\"]",
        &[
            "alerts.email.events = [\"total_lost\"] (x.toml): must be a list of one or more of preventive, manual_attention, total_loss, reminder, account_restricted, bot_gone, recovery, trouble, drill; \"total_lost\" is not allowed",
        ],
    );
    faults(
        "[alerts.emial]\nhost = \"x\"",
        &["alerts.emial (x.toml): is an unknown key; did you mean alerts.email?"],
    );
}

#[test]
fn no_password_in_the_clear_and_no_secret_is_shown() {
    let mail = |host: &str, security: &str| {
        format!(
            "[alerts.email]\nhost = \"{host}\"\nsecurity = \"{security}\"\nuser = \"dog\"\npassword = \"planted-1\"\nfrom = \"Dog <dog@example.com>\"\nto = [\"ana@example.com\"]\nevents = [\"total_loss\"]\n"
        )
    };
    faults(
        &mail("mail.example.com", "none"),
        &[
            "alerts.email.security = \"none\" (x.toml): would send the password in the clear: use \"tls\" or \"starttls\"",
        ],
    );
    assert_eq!(config(&mail("localhost", "none")).alerts.email.unwrap().port, 25);
    let email = config(&mail("mail.example.com", "starttls")).alerts.email.unwrap();
    assert_eq!((email.port, email.security), (587, MailSecurity::Starttls));
    assert_eq!(email.events, [Topic::TotalLoss]);
    let text = format!(
        "{}[paging]\nowner = \"direct\"\n[alerts.pagerduty]\nrouting_key = \"planted-2-0123456789abcdef\"\n[alerts.sms]\naccount = \"AC1\"\ntoken = \"planted-3\"\nfrom = \"Shop\"\nto = [\"+15550002222\"]\n[alerts.webhook]\nurl = \"https://hooks.example.com/planted-4\"\nsecret = \"planted-5-0123456789\"\n[alerts.heartbeat]\nurl = \"https://hc.example.com/planted-6\"\n",
        mail("mail.example.com", "tls")
    );
    let loaded = loaded(&text).unwrap();
    for shown in [loaded.to_toml(), loaded.to_json(), format!("{loaded:?}"), format!("{:#?}", loaded.config)]
    {
        assert!(shown.contains("***") && !shown.contains("planted"), "{shown}");
    }
    assert!(loaded.to_toml().contains("url = \"https://hc.example.com/***\""));
    let json: serde_json::Value = serde_json::from_str(&loaded.to_json()).unwrap();
    assert_eq!(json["config"]["alerts"]["email"]["host"], "mail.example.com");
    assert_eq!(json["config"]["alerts"]["gather_for"], "30s");
}
