//! The configuration as a whole: layers in, values or faults out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Loads a file with this text; faults come as lines, in which the file is called x.toml.
fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.toml");
    std::fs::write(&path, text).unwrap();
    load(Some(&path), &env(variables))
        .map_err(|faults| faults.to_string().replace(path.to_str().unwrap(), "x.toml"))
}

#[track_caller]
fn check(text: &str, faults: &[&str]) {
    let got = load_text(text, &[]).map(|_| ()).unwrap_err();
    assert_eq!(got.lines().collect::<Vec<_>>(), faults, "\n{got}\n");
}

#[track_caller]
fn check_env(variables: &[(&str, &str)], faults: &[&str]) {
    let got = load_text("", variables).map(|_| ()).unwrap_err();
    assert_eq!(got.lines().collect::<Vec<_>>(), faults, "\n{got}\n");
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = load(None, &[]).unwrap().config;
    assert_eq!(config.waha.url.to_string(), "http://127.0.0.1:3000");
    assert_eq!(config.waha.sessions, ["default"]);
    assert!(config.waha.api_key.is_none() && config.waha.ca_file.is_none());
    assert_eq!(config.proxy.listen.to_string(), "127.0.0.1:3001");
    assert_eq!(config.proxy.workers, None);
    assert_eq!(config.proxy.response_timeout, Duration::from_secs(150));
    assert_eq!(config.proxy.max_body, 64 << 20);
    assert_eq!(config.proxy.max_head, 64 << 10);
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9478");
    assert!(config.admin.tokens.is_empty());
    assert_eq!(config.store.path, Path::new("./data/watchdog.redb"));
    assert_eq!(
        (config.store.intent, config.store.commit_wait),
        (IntentMode::Order, Duration::from_millis(250))
    );
    assert_eq!(config.store.resolved_for, Duration::from_secs(90 * 86_400));
    assert_eq!((config.sends.window, config.sends.copy_max), (Duration::from_secs(600), 1 << 20));
    assert_eq!(config.sends.confirm_within, Duration::from_secs(15 * 60));
    assert!(config.events.mode == EventsMode::Websocket && config.events.webhook_secret.is_none());
    assert_eq!((config.retry.mode, config.retry.attempts), (RetryMode::Observe, 4));
    assert_eq!((config.retry.factor, config.retry.jitter), (2.0, 0.2));
    assert_eq!(config.retry.ambiguous, Ambiguous::Hold);
    assert_eq!((config.status.min_sends, config.status.success_rate), (10, 0.9));
    assert_eq!((config.incommunicado.failures, config.offline.after), (3, Duration::from_secs(600)));
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Text));
    assert_eq!((config.locale, config.extract.len()), (Locale::Es, 4));
}

#[test]
fn file_beats_defaults_and_environment_beats_file() {
    let text = r#"
        locale = "pt"
        [proxy]
        listen = "127.0.0.1:4001"
        connect_timeout = "150ms"
        [retry]
        factor = 3
        [waha]
        sessions = ["a", "b"]
    "#;
    let variables = [
        ("WAHA_WATCHDOG__PROXY__LISTEN", "[::1]:5001"),
        ("WAHA_WATCHDOG__RETRY__ATTEMPTS", "7"),
        ("WAHA_WATCHDOG__RETRY__JITTER", "0.5"),
        ("WAHA_WATCHDOG__WAHA__SESSIONS", "default, support"),
        ("WAHA_WATCHDOG__PROXY__EXTRA_SEND_PATHS", r#"["/api/x"]"#),
        ("WAHA_WATCHDOG__PANEL__PUBLIC_URL", "https://dog.example.com/"),
        // None of these is a setting.
        ("WAHA_WATCHDOG_CONFIG", "elsewhere.toml"),
        ("WAHA_WATCHDOG_PORT_3001_TCP", "tcp://10.0.0.1:3001"),
        ("HOME", "/root"),
    ];
    let config = load_text(text, &variables).unwrap().config;
    assert_eq!(config.locale, Locale::Pt);
    assert_eq!(config.proxy.listen.to_string(), "[::1]:5001");
    assert_eq!(config.proxy.connect_timeout, Duration::from_millis(150));
    assert_eq!(config.proxy.extra_send_paths, ["/api/x"]);
    assert_eq!((config.retry.attempts, config.retry.factor, config.retry.jitter), (7, 3.0, 0.5));
    assert_eq!(config.waha.sessions, ["default", "support"]);
    assert_eq!(config.panel.public_url.as_deref(), Some("https://dog.example.com"));
}

#[test]
fn one_value_out_of_bounds() {
    check(
        "[proxy]\nconnect_timeout = 5",
        &[
            r#"proxy.connect_timeout = 5 (x.toml): must be a duration from 10ms to 2m, like "150ms", "10s" or "3m""#,
        ],
    );
    check(
        "[proxy]\nresponse_timeout = \"999ms\"",
        &[
            r#"proxy.response_timeout = "999ms" (x.toml): must be a duration from 1s to 1h, like "150ms", "10s" or "3m""#,
        ],
    );
    check(
        "[store]\ncache = \"4MB\"",
        &[r#"store.cache = "4MB" (x.toml): must be a size from 64KiB to 4GiB, like "512KiB" or "64MiB""#],
    );
    check("[retry]\nattempts = 0", &["retry.attempts = 0 (x.toml): must be a whole number from 1 to 20"]);
    check("[retry]\nattempts = -1", &["retry.attempts = -1 (x.toml): must be a whole number from 1 to 20"]);
    check("[retry]\nattempts = 2.5", &["retry.attempts = 2.5 (x.toml): must be a whole number from 1 to 20"]);
    check(
        "[retry]\nattempts = \"4\"",
        &["retry.attempts = \"4\" (x.toml): must be a whole number from 1 to 20"],
    );
    check("[retry]\njitter = nan", &["retry.jitter = NaN (x.toml): must be a number from 0 to 1"]);
    check("[retry]\nmode = \"Proxy\"", &[r#"retry.mode = "Proxy" (x.toml): must be "observe" or "proxy""#]);
    check("locale = 1", &[r#"locale = 1 (x.toml): must be "es", "en" or "pt""#]);
    check(
        "[proxy]\nlisten = \"localhost:3001\"",
        &[
            r#"proxy.listen = "localhost:3001" (x.toml): must be an address like 127.0.0.1:3001 or [::1]:3001, a number and no name"#,
        ],
    );
    check(
        "[waha]\nurl = \"http://waha:3000/prefix\"",
        &[
            r#"waha.url = "http://waha:3000/prefix" (x.toml): must not contain a path: clients see WAHA's own paths, at /, and they are passed on unchanged"#,
        ],
    );
    check(
        "[waha]\nsessions = []",
        &["waha.sessions = [] (x.toml): must be a list of 1 to 100 session names"],
    );
    check(
        "[waha]\nsessions = [\"a\", \"b\", \"a\"]",
        &[r#"waha.sessions = ["a", "b", "a"] (x.toml): names "a" twice"#],
    );
    check(
        "[waha]\nca_file = \"/nonexistent/ca.pem\"",
        &[
            r#"waha.ca_file = "/nonexistent/ca.pem" (x.toml): cannot be read: No such file or directory (os error 2)"#,
        ],
    );
    check(
        "[proxy]\nextra_send_paths = [\"/api/ok\", \"api/custom\"]",
        &[
            r#"proxy.extra_send_paths = ["/api/ok", "api/custom"] (x.toml): must be a list of up to 100 paths that begin with / and have no query; "api/custom" is not allowed"#,
        ],
    );
    check(
        "[admin]\nallowed_hosts = [\"https://dog.example.com\"]",
        &[
            r#"admin.allowed_hosts = ["https://dog.example.com"] (x.toml): must be a list of up to 100 host names without scheme or port; "https://dog.example.com" is not allowed"#,
        ],
    );
    check("[store]\npath = \"\"", &[r#"store.path = "" (x.toml): must be the path of a file"#]);
    check(
        "[log]\nlevel = \"inof\"",
        &[
            r#"log.level = "inof" (x.toml): must be off, error, warn, info, debug or trace, or a list like "info,waha_watchdog::proxy=debug""#,
        ],
    );
    check(
        "[panel]\norder_url = \"https://shop.example.com/{id}\"",
        &[
            r#"panel.order_url = "https://shop.example.com/{id}" (x.toml): must be an http or https URL with {order_id} or {order_number}, and no other braces"#,
        ],
    );
    check(
        "[panel]\npublic_url = \"dog.example.com\"",
        &[
            r#"panel.public_url = "dog.example.com" (x.toml): must be an http or https URL, without user or password"#,
        ],
    );
}

#[test]
fn unknown_keys_get_the_nearest_name() {
    check("[proxy]\nlisen = \"x\"", &["proxy.lisen (x.toml): is an unknown key; did you mean proxy.listen?"]);
    check("[prxy]\nlisten = \"x\"", &["prxy (x.toml): is an unknown key; did you mean proxy?"]);
    check(
        "[proxy]\nattempts = 3",
        &["proxy.attempts (x.toml): is an unknown key; did you mean retry.attempts?"],
    );
    check("loclae = \"es\"", &["loclae (x.toml): is an unknown key; did you mean locale?"]);
    check(
        "[retry]\nAttempts = 3",
        &["retry.Attempts (x.toml): is an unknown key; did you mean retry.attempts?"],
    );
    check(
        "[offline]\nxylophone = 3",
        &["offline.xylophone (x.toml): is an unknown key; offline has after, source"],
    );
    check("proxy = \"127.0.0.1:3001\"", &["proxy (x.toml): is a section; its keys belong below it"]);
    check("[locale.es]", &["locale (x.toml): takes one value or list as a whole, not keys below it"]);
    check_env(
        &[
            ("WAHA_WATCHDOG__PROXY__LISTN", "127.0.0.1:1"),
            ("WAHA_WATCHDOG__LOCAL", "es"),
            ("WAHA_WATCHDOG__", ""),
            ("WAHA_WATCHDOG__ADMIN__TOKENS__0__NAME", "ana"),
        ],
        &[
            "proxy.listn (environment WAHA_WATCHDOG__PROXY__LISTN): is an unknown key; did you mean proxy.listen?",
            "local (environment WAHA_WATCHDOG__LOCAL): is an unknown key; did you mean locale?",
            "environment WAHA_WATCHDOG__: is an unknown key; at the top there are admin, alerts, bot, diagnosis, events, extract, healthcheck, incommunicado, locale, log, offline, paging, panel, proxy, recovery, retry, sends, status, store, waha",
            "admin.tokens (environment WAHA_WATCHDOG__ADMIN__TOKENS__0__NAME): takes one value or list as a whole, not keys below it",
        ],
    );
}

#[test]
fn keys_that_do_not_fit_together() {
    check(
        "[proxy]\nlisten = \"0.0.0.0:9478\"",
        &[
            r#"admin.listen = "127.0.0.1:9478" (defaults): clashes with proxy.listen = "0.0.0.0:9478" (x.toml): the two listeners need different ports"#,
        ],
    );
    check(
        "[retry]\ngive_up_after = \"11m\"",
        &[
            r#"retry.give_up_after = "11m" (x.toml): must not be longer than sends.window = "10m" (defaults): the send would be forgotten before it is given up"#,
        ],
    );
    check(
        "[proxy]\nmax_body = \"512KiB\"\n[sends]\ncopy_max = \"1MiB\"",
        &[
            r#"sends.copy_max = "1MiB" (x.toml): must not be larger than proxy.max_body = "512KiB" (x.toml): no such body ever passes"#,
        ],
    );
    check(
        "[sends]\ncopy_budget = \"1KiB\"\ncopy_max = \"1MiB\"",
        &[
            r#"sends.copy_max = "1MiB" (x.toml): must not be larger than sends.copy_budget = "1KiB" (x.toml): there would be no room for one such body"#,
        ],
    );
    check(
        "[waha]\nurl = \"http://localhost:3001\"",
        &[
            r#"waha.url = "http://localhost:3001" (x.toml): leads back to our own proxy.listen = "127.0.0.1:3001" (defaults): must be the address of WAHA itself"#,
        ],
    );
    check_env(
        &[("WAHA_WATCHDOG__ADMIN__LISTEN", "0.0.0.0:9478")],
        &[
            r#"admin.listen = "0.0.0.0:9478" (environment WAHA_WATCHDOG__ADMIN__LISTEN): must be a loopback address (127.0.0.1 or [::1]) while there are no admin.tokens"#,
        ],
    );
}

#[test]
fn webhooks_need_a_secret() {
    check(
        "[events]\nmode = \"webhook\"",
        &[
            r#"events.mode = "webhook" (x.toml): needs events.webhook_secret or events.webhook_secret_file: anybody could deliver"#,
        ],
    );
    check(
        "[events]\nmode = \"webhook\"\nwebhook_secret = \"tooshort\"",
        &["events.webhook_secret = \"***\" (x.toml): must have 16 or more characters, has 8"],
    );
    check(
        "[events]\nmode = \"webhook\"\nwebhook_secret_file = \"/nonexistent\"",
        &[
            r#"events.webhook_secret_file = "/nonexistent" (x.toml): cannot be read: No such file or directory (os error 2)"#,
        ],
    );
    let text = "[events]\nmode = \"webhook\"\nwebhook_secret = \"0123456789abcdef\"";
    let events = load_text(text, &[]).unwrap().config.events;
    assert_eq!(events.mode, EventsMode::Webhook);
    assert_eq!(events.webhook_secret.unwrap().expose(), "0123456789abcdef");
}

#[test]
fn a_default_gives_way_to_a_smaller_limit() {
    let config =
        load_text("[proxy]\nmax_body = \"1KiB\"\n[sends]\ncopy_budget = \"0B\"", &[]).unwrap().config;
    assert_eq!((config.proxy.max_body, config.sends.copy_budget), (1024, 0));
}

#[test]
fn whatever_the_keys_hold_it_is_taken_or_refused_by_name() {
    let variable = |key: &str| format!("WAHA_WATCHDOG__{}", key.to_uppercase().replace('.', "__"));
    for text in [
        "",
        " ",
        "0",
        "-1",
        "1e999",
        "[",
        "[1, 2]",
        "[{}]",
        "{",
        "ñ\u{1}\n",
        "'\"\\",
        "18446744073709551616s",
    ] {
        let all: Vec<_> = documented().iter().map(|(key, ..)| (variable(key), text.to_owned())).collect();
        for fault in load(None, &all).unwrap_err().0 {
            let key = fault.key.split('[').next().unwrap_or_default();
            assert_eq!(fault.layer, format!("environment {}", variable(key)), "{fault}");
            assert!(!fault.to_string().contains('\n'), "{fault}");
        }
    }
}

#[test]
fn no_clash_is_told_about_values_that_are_wrong_anyway() {
    check(
        "[admin]\nlisten = \"0.0.0.0:9478\"\ntokens = [{ name = \"ana\", role = \"boss\", secret = \"0123456789abcdef\" }]",
        &[r#"admin.tokens[0].role = "boss" (x.toml): must be "viewer", "operator" or "bot""#],
    );
    let missing =
        load(Some(Path::new("/nonexistent/x.toml")), &env(&[("WAHA_WATCHDOG__ADMIN__LISTEN", "0.0.0.0:1")]));
    assert_eq!(
        missing.unwrap_err().to_string(),
        "/nonexistent/x.toml: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn tokens() {
    let text = r#"
        [admin]
        listen = "0.0.0.0:9478"
        [[admin.tokens]]
        name = "ana"
        role = "operator"
        secret = "0123456789abcdef"
    "#;
    let tokens = load_text(text, &[]).unwrap().config.admin.tokens;
    assert_eq!((tokens[0].name.as_str(), tokens[0].role), ("ana", Role::Operator));
    assert_eq!(tokens[0].secret.expose(), "0123456789abcdef");

    let inline = r#"[{ name = "bot", role = "bot", secret = "fedcba9876543210" }]"#;
    let tokens = load_text(text, &[("WAHA_WATCHDOG__ADMIN__TOKENS", inline)]).unwrap().config.admin.tokens;
    assert_eq!((tokens.len(), tokens[0].role), (1, Role::Bot));

    check(
        r#"
        [admin]
        tokens = [
          { name = "", role = "operator", secret = "0123456789abcdef" },
          { name = "eva", rol = "viewer", secret = "tooshort" },
          { name = "leo", role = "viewer" },
          { name = "noa", role = "viewer", secret = "with blanks inside of it" },
          { name = "lia", role = "viewer", secret = "0123456789abcdef", secret_file = "/nonexistent" },
          { name = "teo", role = "viewer", secret_file = "/nonexistent" },
          { name = 5, role = "viewer", secret = 1234567890123456 },
        ]
        "#,
        &[
            "admin.tokens[0].name (x.toml): is missing; must be a text of 1 to 64 characters",
            "admin.tokens[1].rol (x.toml): is an unknown key; did you mean role?",
            r#"admin.tokens[1].role (x.toml): is missing; must be "viewer", "operator" or "bot""#,
            "admin.tokens[1].secret = \"***\" (x.toml): must have 16 or more characters, has 8",
            "admin.tokens[2].secret (x.toml): is missing; set it or secret_file",
            "admin.tokens[3].secret = \"***\" (x.toml): must be a text of visible ASCII characters, without blanks",
            "admin.tokens[4].secret_file (x.toml): clashes with secret: set one of the two",
            r#"admin.tokens[5].secret_file = "/nonexistent" (x.toml): cannot be read: No such file or directory (os error 2)"#,
            "admin.tokens[6].name = 5 (x.toml): must be a text of 1 to 64 characters, in quotes",
            "admin.tokens[6].secret = \"***\" (x.toml): must be a text, in quotes",
        ],
    );
    check(
        r#"
        [[admin.tokens]]
        name = "ana"
        role = "viewer"
        secret = "0123456789abcdef"
        [[admin.tokens]]
        name = "ana"
        role = "operator"
        secret = "0123456789abcdef"
        "#,
        &[
            "admin.tokens (x.toml): must have different names: those of [0] and [1] are the same",
            "admin.tokens (x.toml): must have different secrets: those of [0] and [1] are the same",
        ],
    );
    check(
        "[admin]\ntokens = [\"0123456789abcdef\"]",
        &["admin.tokens = \"***\" (x.toml): must be a list of tables with name, role, secret, secret_file"],
    );
}

#[test]
fn secrets_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "from-the-file\n").unwrap();
    let file = path.to_str().unwrap();
    let config = load(None, &env(&[("WAHA_WATCHDOG__WAHA__API_KEY_FILE", file)])).unwrap().config;
    assert_eq!(config.waha.api_key.unwrap().expose(), "from-the-file");

    let both =
        env(&[("WAHA_WATCHDOG__WAHA__API_KEY_FILE", file), ("WAHA_WATCHDOG__WAHA__API_KEY", "direct")]);
    assert_eq!(
        load(None, &both).unwrap_err().to_string(),
        format!(
            "waha.api_key_file = \"{file}\" (environment WAHA_WATCHDOG__WAHA__API_KEY_FILE): clashes with \
             waha.api_key = \"***\" (environment WAHA_WATCHDOG__WAHA__API_KEY): set one of the two"
        )
    );
    // An empty variable is how compose files say "not set".
    let empty = env(&[("WAHA_WATCHDOG__WAHA__API_KEY_FILE", file), ("WAHA_WATCHDOG__WAHA__API_KEY", "")]);
    assert!(load(None, &empty).is_ok());
}

#[test]
fn all_faults_appear_together() {
    let text = r#"
        local = "es"
        [waha]
        url = "waha:3000"
        api_key = "has blank"
        [proxy]
        listen = 3001
        max_body = "1XB"
        [retry]
        mode = "both"
        give_up_after = "1h"
        [[extract]]
        type = "LATE"
        pattern = '('
    "#;
    let got =
        load_text(text, &[("WAHA_WATCHDOG__RETRY__ATTEMPTS", "many"), ("WAHA_WATCHDOG__LOG__FORMAT", "xml")]);
    let got = got.unwrap_err();
    let expected = [
        "local (x.toml): is an unknown key; did you mean locale?",
        r#"waha.url = "waha:3000" (x.toml): must begin with http:// or https://: a URL like http://127.0.0.1:3000"#,
        "waha.api_key = \"***\" (x.toml): must be a text of visible ASCII characters, without blanks",
        "proxy.listen = 3001 (x.toml): must be an address like 127.0.0.1:3001 or [::1]:3001, a number and no name",
        r#"proxy.max_body = "1XB" (x.toml): must be a size from 1KiB to 4GiB, like "512KiB" or "64MiB""#,
        r#"retry.mode = "both" (x.toml): must be "observe" or "proxy""#,
        r#"retry.attempts = "many" (environment WAHA_WATCHDOG__RETRY__ATTEMPTS): must be a whole number from 1 to 20"#,
        r#"log.format = "xml" (environment WAHA_WATCHDOG__LOG__FORMAT): must be "text" or "json""#,
        r#"extract[0].type = "LATE" (x.toml): must be "ORDER_RECEIVED", "ORDER_CONFIRMED", "ORDER_SHIPPED" or "OTHER""#,
        r#"extract[0].pattern = "(" (x.toml): is no regular expression: unclosed group"#,
        r#"retry.give_up_after = "1h" (x.toml): must not be longer than sends.window = "10m" (defaults): the send would be forgotten before it is given up"#,
    ];
    assert_eq!(got.lines().collect::<Vec<_>>(), expected, "\n{got}\n");
}

#[test]
fn broken_toml_is_located_but_not_quoted() {
    let got = load_text("locale = \"es\"\n[waha]\napi_key = \"planted-secret\n", &[]).unwrap_err();
    assert_eq!(got, "x.toml: is not TOML: line 3: invalid basic string");
    let got = load_text("[waha]\napi_key = planted-secret\n", &[]).unwrap_err();
    assert!(got.starts_with("x.toml: is not TOML: line 2: ") && !got.contains("planted"), "{got}");
    let got = load_text("locale = \"es\"\nlocale = \"en\"\n", &[]).unwrap_err();
    assert!(got.starts_with("x.toml: is not TOML: line 2: duplicate key"), "{got}");
}

#[test]
fn no_secret_is_ever_shown() {
    const PLANTED: &str = "planted-0123456789";
    let good = format!(
        "[waha]\napi_key = \"{PLANTED}\"\n[[admin.tokens]]\nname = \"a\"\nrole = \"bot\"\nsecret = \"{PLANTED}\"\n"
    );
    let loaded = load_text(&good, &[]).unwrap();
    assert_eq!(loaded.config.waha.api_key.as_ref().map(Secret::expose), Some(PLANTED));
    for shown in [loaded.to_toml(), loaded.to_json(), format!("{loaded:?}"), format!("{:#?}", loaded.config)]
    {
        assert!(shown.contains("***") && !shown.contains(PLANTED), "{shown}");
    }

    for bad in [
        format!("[waha]\napi_key = \"{PLANTED} x\""),
        format!("[waha]\napi_key = [\"{PLANTED}\"]"),
        format!("[waha]\napi_keyy = \"{PLANTED}\""),
        format!("[events]\nwebhook_secret = \"{PLANTED} x\""),
        format!("[waha.api_key]\nx = \"{PLANTED}\""),
        format!("waha = \"{PLANTED}\""),
        format!("[waha]\nurl = \"http://user:{PLANTED}@waha:3000\""),
        format!("[waha]\nurl = \"http://waha:3000?x-api-key={PLANTED}\""),
        format!("[admin]\ntokens = \"{PLANTED}\""),
        format!("[admin]\ntokens = [\"{PLANTED}\"]"),
        format!("[admin]\ntokens = [{{ name = \"a\", role = \"bot\", secret = \"{PLANTED}é\" }}]"),
        format!("[admin]\ntokens = [{{ name = \"a\", role = \"bot\", secret = [\"{PLANTED}\"] }}]"),
        format!("[admin]\ntokens = [{{ name = \"a\", role = \"bot\", secrt = \"{PLANTED}\" }}]"),
        format!("[panel]\npublic_url = \"https://user:{PLANTED}@example.com\""),
    ] {
        let faults = load_text(&bad, &[]).unwrap_err();
        assert!(!faults.contains(PLANTED), "{bad}\n{faults}");
    }
}

#[test]
fn shown_configuration_can_be_read_again() {
    let text = "locale = \"en\"\n[store]\npath = \"/data/it's \\\"mine\\\"\\n\"\n[waha]\nsessions = [\"a\", \"b\"]\n";
    let shown = load_text(text, &[]).unwrap().to_toml();
    assert!(shown.starts_with("locale = \"en\" # "), "{shown}");
    assert!(shown.contains("\n[proxy]\nlisten = \"127.0.0.1:3001\"\nworkers = 0\n"), "{shown}");
    let again = load_text(&shown, &[]).map_err(|faults| panic!("{faults}\n{shown}")).unwrap();
    let without_comments = |shown: &str| -> String {
        shown.lines().map(|line| line.split(" # ").next().unwrap_or_default().to_owned() + "\n").collect()
    };
    assert_eq!(without_comments(&again.to_toml()), without_comments(&shown));
    let none = load_text("extract = []", &[]).unwrap();
    assert!(none.to_toml().contains("\nextract = [] # ") && none.config.extract.is_empty());
}

#[test]
fn shown_layers() {
    let loaded = load_text(
        "[retry]\nattempts = 7\n[[extract]]\ntype = \"OTHER\"\npattern = '#(?P<order_id>\\d+)'\n",
        &[("WAHA_WATCHDOG__PROXY__LISTEN", "127.0.0.1:1")],
    )
    .unwrap();
    let shown = loaded.to_toml();
    assert!(
        shown.contains("\nlisten = \"127.0.0.1:1\" # environment WAHA_WATCHDOG__PROXY__LISTEN\n"),
        "{shown}"
    );
    assert!(shown.contains("x.toml\npattern = '#(?P<order_id>\\d+)'\ntype = \"OTHER\"\n"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&loaded.to_json()).unwrap();
    assert_eq!(json["config"]["retry"]["attempts"], 7);
    assert_eq!(json["config"]["locale"], "es");
    assert_eq!(json["config"]["extract"][0]["type"], "OTHER");
    assert_eq!(json["layers"]["proxy.listen"], "environment WAHA_WATCHDOG__PROXY__LISTEN");
    assert!(json["layers"]["retry.attempts"].as_str().unwrap().ends_with("x.toml"));
    assert_eq!(json["layers"].as_object().unwrap().len(), 3);
}

#[test]
fn the_file_is_found() {
    let variable = env(&[(PATH_VARIABLE, "/etc/v.toml")]);
    let empty = env(&[(PATH_VARIABLE, "")]);
    let flag = || Some(PathBuf::from("flag.toml"));
    for (flag, env, exists, expected) in [
        (flag(), &variable, true, Some("flag.toml")),
        (None, &variable, true, Some("/etc/v.toml")),
        (None, &variable, false, Some("/etc/v.toml")),
        (None, &empty, true, Some("watchdog.toml")),
        (None, &empty, false, None),
    ] {
        assert_eq!(locate(flag, env, |_| exists), expected.map(PathBuf::from));
    }
}

/// Each key of the documented file, with the comment right above it and its default as written.
fn documented() -> Vec<(String, String, String)> {
    let (mut keys, mut section, mut comment) = (Vec::new(), String::new(), String::new());
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment += text.trim_start();
            comment.push(' ');
        } else if line.starts_with("[[") {
            section = line.to_owned();
        } else if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
            comment.clear();
        } else if let Some((name, default)) = line.split_once(" = ").filter(|_| !section.starts_with("[[")) {
            keys.push((format!("{section}{name}"), std::mem::take(&mut comment), default.to_owned()));
        } else {
            comment.clear();
        }
    }
    keys
}

#[test]
fn every_key_is_documented_with_what_it_takes_and_its_default() {
    let entries = load(None, &[]).unwrap().entries;
    for (key, comment, default) in documented() {
        let allowed = &entries.iter().find(|entry| entry.key == key).expect(&key).allowed;
        let sentence = format!(" {allowed}; default {default}. ");
        let comment = format!(" {comment}");
        assert!(
            comment.to_lowercase().ends_with(&sentence.to_lowercase()),
            "the comment above {key} should end with {sentence:?}, but is {comment:?}"
        );
        assert!(comment.len() > sentence.len() + 20, "{key} has no sentence that says what it is for");
    }
}

#[test]
fn exactly_the_documented_keys_are_read() {
    let entries = load(None, &[]).unwrap().entries;
    let read: BTreeSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    let mut known: BTreeSet<String> = documented().into_iter().map(|(key, ..)| key).collect();
    assert_eq!(known.len(), documented().len(), "a key is documented twice");
    known.insert("extract".to_owned());
    assert_eq!(read, known);
    assert_eq!(entries.len(), read.len(), "a key is read twice");
}

#[test]
fn written_file_is_the_defaults() {
    let loaded = load_text(DEFAULTS, &[]).unwrap();
    let names =
        |loaded: &Loaded| -> Vec<String> { loaded.entries.iter().map(|e| literal::toml(&e.value)).collect() };
    assert_eq!(names(&loaded), names(&load(None, &[]).unwrap()));
}

#[test]
fn ages_by_type_of_notification() {
    assert_eq!(load(None, &[]).unwrap().config.recovery.max_age_for, []);
    let text = "[recovery]\nmax_age_for = { ORDER_RECEIVED = \"2h\", ORDER_SHIPPED = \"3d\" }";
    let variable = [("WAHA_WATCHDOG__RECOVERY__MAX_AGE_FOR__ORDER_RECEIVED", "3h")];
    let ages = load_text(text, &variable).unwrap().config.recovery.max_age_for;
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(ages, [("ORDER_RECEIVED", hours(3)), ("ORDER_SHIPPED", hours(72))]);
    check(
        "[recovery.max_age_for]\nORDER_RECIEVED = \"2h\"\nOTHER = \"soon\"",
        &[
            "recovery.max_age_for.ORDER_RECIEVED (x.toml): is an unknown key; recovery.max_age_for has ORDER_CONFIRMED, ORDER_RECEIVED, ORDER_SHIPPED, OTHER",
            "recovery.max_age_for.OTHER = \"soon\" (x.toml): must be a duration from 1s to 30d, or empty, like \"10s\" or \"3m\"",
        ],
    );
}
