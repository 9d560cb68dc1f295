//! What is deployed fits together: compose, image, Prometheus, Alertmanager, Grafana and the configuration of the watchdog itself.
//!
//! No container engine is at hand: nothing here brings anything up. What each file says of the others is compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regex::Regex;
use serde_json::Value;

const COMPOSE: &str = "deploy/compose/compose.yml";
const PROMETHEUS: &str = "deploy/prometheus/prometheus.yml";
const IMAGE: &str = "deploy/docker/Dockerfile";
const ALERTMANAGER: &str = "config/alertmanager.yml";
/// Where the ports of these images are, unless told otherwise.
const PORTS: [(&str, u16); 4] =
    [("alertmanager", 9093), ("grafana", 3000), ("prometheus", 9090), ("waha", 3000)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|one| one.as_str().unwrap_or_else(|| panic!("a text: {one}")).to_owned()).collect()
}

fn services() -> BTreeMap<String, Value> {
    let compose = yaml(COMPOSE);
    compose["services"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, service)| (name.clone(), service.clone()))
        .collect()
}

/// `source` and `target` of each mount of a service; secrets too.
fn mounts(compose: &Value, service: &str) -> Vec<(String, String)> {
    let service = &compose["services"][service];
    let volumes = texts(&service["volumes"]).into_iter().map(|mount| {
        let mut parts = mount.split(':');
        (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned())
    });
    let secrets = list(&service["secrets"]).iter().map(|secret| {
        let (name, target) = match secret.as_str() {
            Some(name) => (name, format!("/run/secrets/{name}")),
            None => (secret["source"].as_str().unwrap(), secret["target"].as_str().unwrap().to_owned()),
        };
        let source = compose["secrets"][name]["file"].as_str().unwrap_or_else(|| panic!("no secret {name}"));
        (source.to_owned(), target)
    });
    volumes.chain(secrets).collect()
}

/// The compose file's variables: name, and the value where none is given.
fn variables() -> BTreeMap<String, Option<String>> {
    let variable = Regex::new(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}").unwrap();
    let compose = read(COMPOSE);
    let found = variable.captures_iter(&compose).map(|one| {
        let default = one.get(2).filter(|kind| kind.as_str() == "-").map(|_| one[3].to_owned());
        (one[1].to_owned(), default)
    });
    found.collect()
}

/// As compose puts them in.
fn substituted(text: &str, values: &BTreeMap<String, String>) -> String {
    let variable = Regex::new(r"\$\{([A-Z_]+)(?::[-?][^}]*)?\}").unwrap();
    variable.replace_all(text, |one: &regex::Captures<'_>| values[&one[1]].clone()).into_owned()
}

#[test]
fn compose_names_what_exists() {
    let compose = yaml(COMPOSE);
    let folder = root().join("deploy/compose");
    let declared = |what: &str| compose[what].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (volumes, networks, secrets) = (declared("volumes"), declared("networks"), declared("secrets"));
    let (mut used_volumes, mut used_networks, mut used_secrets) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let services = services();
    for (name, service) in &services {
        let image = service["image"].as_str().unwrap();
        assert!(
            service.get("build").is_some() || image.contains(':'),
            "{name}: an image without a tag changes under our feet"
        );
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        for mount in texts(&service["volumes"]) {
            let (source, rest) = mount.split_once(':').unwrap();
            if source.starts_with('.') {
                assert!(folder.join(source).exists(), "{name}: there is no {source}");
                assert!(rest.ends_with(":ro"), "{name}: {source} is not the container's to change");
            } else {
                assert!(volumes.contains(source), "{name}: no volume {source}");
                used_volumes.insert(source.to_owned());
            }
        }
        used_networks.extend(texts(&service["networks"]));
        for secret in list(&service["secrets"]) {
            used_secrets
                .insert(secret.as_str().unwrap_or_else(|| secret["source"].as_str().unwrap()).to_owned());
        }
        for other in texts(&service["depends_on"]) {
            assert!(services.contains_key(&other), "{name} depends on {other}");
        }
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to everybody");
        }
    }
    assert_eq!(
        (used_volumes, used_networks, used_secrets),
        (volumes, networks, secrets),
        "declared is what is used"
    );
    let build = &services["watchdog"]["build"];
    let context = folder.join(build["context"].as_str().unwrap());
    assert_eq!(context.canonicalize().unwrap(), root().canonicalize().unwrap());
    assert_eq!(build["dockerfile"], IMAGE);
    // What is secret is not in the repository.
    let ignored = read(".gitignore");
    assert!(
        ["/deploy/compose/.env", "/deploy/compose/secrets"]
            .iter()
            .all(|path| ignored.lines().any(|line| line == *path))
    );
    for secret in compose["secrets"].as_object().unwrap().values() {
        assert!(secret["file"].as_str().unwrap().starts_with("./secrets/"), "{secret}");
    }
    let head: String = read(COMPOSE).lines().take_while(|line| line.starts_with('#')).collect();
    for secret in compose["secrets"].as_object().unwrap().values() {
        let file = secret["file"].as_str().unwrap().trim_start_matches("./");
        assert!(head.contains(&format!("> {file}")), "the head does not say how to make {file}");
    }
}

#[test]
fn the_example_environment_has_every_variable() {
    let example = read("deploy/compose/.env.example");
    let given: BTreeMap<_, _> = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect();
    let wanted = variables();
    assert_eq!(
        given.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(),
        wanted.keys().cloned().collect()
    );
    for (name, default) in wanted {
        let given = given[name.as_str()];
        assert!(default.is_none_or(|default| default == given), "{name}: two defaults");
    }
}

/// The environment of the watchdog's container, with its secrets in `folder`.
fn environment(folder: &Path) -> Vec<(String, String)> {
    let mut values: BTreeMap<_, _> =
        variables().into_iter().map(|(name, default)| (name, default.unwrap_or_default())).collect();
    let fill = [
        ("WAHA_API_KEY", "a-key-of-waha"),
        ("ADMIN_PHONE", "5511900000099"),
        ("PANEL_HOSTS", "watchdog.example.com"),
    ];
    values.extend(fill.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let environment = services()["watchdog"]["environment"].clone();
    let environment = environment.as_object().unwrap().iter();
    let environment = environment.map(|(name, value)| {
        let value = value.as_str().unwrap_or_else(|| panic!("{name}: {value} wants quotes"));
        (name.clone(), substituted(value, &values).replace("/run/secrets", &folder.display().to_string()))
    });
    environment.collect()
}

fn watchdog(environment: &[(String, String)], arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waha-watchdog"));
    command.args(arguments).envs(environment.iter().cloned()).current_dir(folder);
    command.env_remove("WAHA_WATCHDOG_CONFIG").output().unwrap()
}

#[test]
fn the_watchdog_understands_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = mounts(&yaml(COMPOSE), "watchdog")
        .into_iter()
        .filter(|(_, target)| target.starts_with("/run/secrets/"));
    for (_, target) in secrets {
        fs::write(folder.path().join(target.rsplit('/').next().unwrap()), "0123456789abcdef\n").unwrap();
    }
    let environment = environment(folder.path());
    let shown = watchdog(&environment, &["config", "show", "--json"], folder.path());
    let complaint = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(shown.status.success(), "{complaint}");
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let config = &shown["config"];
    assert_eq!(config["admin"]["tokens"][0]["name"], "admin", "{config}");
    assert_eq!(config["waha"]["sessions"][0], "default");
    assert_eq!(config["admin"]["allowed_hosts"][0], "watchdog.example.com");
    assert_eq!(config["paging"]["owner"], "alertmanager", "Alertmanager pages here");
    // Every key of the environment is in force, and no other is changed.
    let layers = shown["layers"].as_object().unwrap();
    assert_eq!(layers.len(), environment.len(), "{layers:?}");
    // Without its token it does not start: nobody else's is the panel.
    let without: Vec<_> = environment.into_iter().filter(|(name, _)| !name.ends_with("TOKENS")).collect();
    let refused = watchdog(&without, &["config", "show"], folder.path());
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("admin.tokens"), "{complaint}");
}

#[test]
fn ports_agree() {
    let compose = yaml(COMPOSE);
    let services = services();
    let environment: BTreeMap<_, _> = environment(Path::new("/run/secrets")).into_iter().collect();
    let port = |key: &str| -> u16 { environment[key].rsplit_once(':').unwrap().1.parse().unwrap() };
    let (proxy, admin) = (port("WAHA_WATCHDOG__PROXY__LISTEN"), port("WAHA_WATCHDOG__ADMIN__LISTEN"));
    let mut open: BTreeMap<&str, Vec<u16>> = BTreeMap::from([("watchdog", vec![proxy, admin])]);
    open.extend(PORTS.map(|(name, port)| (name, vec![port])));
    let mut published = BTreeSet::new();
    for (name, service) in &services {
        for mapping in texts(&service["ports"]) {
            let parts: Vec<_> = mapping.split(':').collect();
            let [_, outside, inside] = parts[..] else { panic!("{mapping}") };
            assert!(
                open[name.as_str()].contains(&inside.parse().unwrap()),
                "{name} does not listen on {inside}"
            );
            assert!(published.insert(outside.to_owned()), "{outside} is published twice");
        }
    }
    // Whoever is named by its service and port is there, and on a network with who names it.
    let address = Regex::new(r"\b(alertmanager|grafana|prometheus|waha|watchdog):(\d+)\b").unwrap();
    let network =
        |name: &str| texts(&compose["services"][name]["networks"]).into_iter().collect::<BTreeSet<_>>();
    let sources = "deploy/grafana/provisioning/datasources/waha-watchdog.yml";
    let told = [
        ("prometheus", read(PROMETHEUS)),
        ("grafana", read(sources)),
        ("watchdog", environment["WAHA_WATCHDOG__WAHA__URL"].clone()),
    ];
    let mut found = 0;
    for (who, text) in told {
        let lines =
            text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
        for one in address.captures_iter(&lines) {
            let (name, port) = (&one[1], one[2].parse::<u16>().unwrap());
            assert!(open[name].contains(&port), "{who} asks {name}:{port}");
            assert!(!network(who).is_disjoint(&network(name)), "{who} and {name} share no network");
            found += 1;
        }
    }
    assert!(found >= 6, "{found} addresses");
    assert!(read(PROMETHEUS).contains(&format!("watchdog:{admin}")), "metrics are on the admin listener");
    let panel = &environment["WAHA_WATCHDOG__PANEL__PUBLIC_URL"];
    assert_eq!(*panel, format!("http://127.0.0.1:{admin}"));
    for entry in fs::read_dir(root().join("dashboards")).unwrap() {
        let board: Value = serde_json::from_str(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        let variables = list(&board["templating"]["list"]).iter();
        let url = variables.filter(|one| one["name"] == "panel_url").map(|one| &one["query"]);
        assert_eq!(
            url.collect::<Vec<_>>(),
            [panel],
            "the dashboards lead to the panel that compose publishes"
        );
    }
}

#[test]
fn the_image_fits_the_program() {
    let image = read(IMAGE);
    let manifest = read("Cargo.toml");
    let version =
        Regex::new(r#"rust-version = "([^"]+)""#).unwrap().captures(&manifest).unwrap()[1].to_owned();
    assert!(image.contains(&format!("FROM rust:{version}-")), "the image is built with Rust {version}");
    assert!(image.contains("cargo build --release --locked"));
    // What builds the program as it is shipped finds what it asks for.
    assert!(image.contains("deploy/release/build /out"));
    let install = Regex::new(r"apt-get install (?:--\S+ )*([^\n\\]+)").unwrap();
    let packages = |text: &str| -> BTreeSet<String> {
        install.captures(text).unwrap()[1].split_whitespace().map(str::to_owned).collect()
    };
    let (here, asked) = (packages(&image), packages(&read("deploy/release/build")));
    assert_eq!(asked.difference(&here).collect::<Vec<_>>(), [""; 0], "the image lacks them");
    let service = &services()["watchdog"];
    let user = service["user"].as_str().unwrap();
    let end = image.rsplit_once("\nFROM ").unwrap().1;
    assert!(
        end.contains(&format!("\nUSER {user}\n")) && end.contains(&format!("--chown={user} ")),
        "one user, and it owns the store"
    );
    assert_ne!(user.split(':').next(), Some("0"));
    assert_eq!(service["read_only"], true);
    // The store lies on the volume, in the image's own default too.
    let environment: BTreeMap<_, _> = environment(Path::new("/run/secrets")).into_iter().collect();
    let store = &environment["WAHA_WATCHDOG__STORE__PATH"];
    let folder = Path::new(store).parent().unwrap().to_str().unwrap();
    assert!(
        end.contains(&format!("ENV WAHA_WATCHDOG__STORE__PATH={store}\n"))
            && end.contains(&format!("VOLUME {folder}\n"))
    );
    assert!(mounts(&yaml(COMPOSE), "watchdog").iter().any(|(_, target)| target == folder));
    let open: BTreeSet<_> =
        end.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap().split(' ').collect();
    let listens = ["PROXY", "ADMIN"]
        .map(|who| environment[&format!("WAHA_WATCHDOG__{who}__LISTEN")].rsplit_once(':').unwrap().1);
    assert_eq!(open, BTreeSet::from(listens));
    // What it calls is a command of the program, and the program answers it: nothing runs, so not healthy.
    let call = Regex::new(r#"HEALTHCHECK .* CMD \[([^\]]+)\]"#).unwrap().captures(end).unwrap()[1].to_owned();
    let words: Vec<String> = serde_json::from_str(&format!("[{call}]")).unwrap();
    let binary = "/usr/local/bin/waha-watchdog";
    assert!(
        words[0] == binary
            && end.contains(&format!("ENTRYPOINT [\"{binary}\"]"))
            && image.contains(&format!("/out{binary} "))
    );
    let nobody = ("WAHA_WATCHDOG__ADMIN__LISTEN".to_owned(), "127.0.0.1:1".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let arguments: Vec<_> = words[1..].iter().map(String::as_str).collect();
    let answer = watchdog(&[nobody], &arguments, folder.path());
    assert_eq!(answer.status.code(), Some(1), "{}", String::from_utf8_lossy(&answer.stderr));
    // The build sees what it needs.
    let seen = read("deploy/docker/Dockerfile.dockerignore");
    for path in read_by_the_build() {
        assert!(seen.lines().any(|line| line == format!("!{path}")), "the build needs {path}");
    }
}

/// What `cargo build` reads: the manifest's targets, and what the sources include.
fn read_by_the_build() -> BTreeSet<String> {
    let known =
        ["Cargo.toml", "Cargo.lock", "src", "config", "benches", "examples", "askama.toml", "build.rs"];
    let mut read: BTreeSet<_> =
        known.into_iter().filter(|path| root().join(path).exists()).map(str::to_owned).collect();
    let include = Regex::new(r#"include_(?:str|bytes)!\(\s*"([^"]+)""#).unwrap();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                for one in include.captures_iter(&text) {
                    // In a test's own path it may not be there; the build then does not read it either.
                    let Ok(file) = folder.join(&one[1]).canonicalize() else { continue };
                    let file = file.strip_prefix(root().canonicalize().unwrap()).unwrap().to_owned();
                    read.insert(file.components().next().unwrap().as_os_str().to_str().unwrap().to_owned());
                }
            }
        }
    }
    // Only unit tests read from there.
    read.remove("tests");
    read
}

#[test]
fn prometheus_takes_its_configuration() {
    let config = yaml(PROMETHEUS);
    let jobs: Vec<_> =
        list(&config["scrape_configs"]).iter().map(|job| job["job_name"].as_str().unwrap()).collect();
    assert!(jobs.contains(&"waha-watchdog"), "{jobs:?}");
    // The rules lie where it looks, and know its jobs.
    let compose = yaml(COMPOSE);
    let mounts = mounts(&compose, "prometheus");
    let at =
        |target: &str| mounts.iter().find(|(_, known)| known == target).map(|(source, _)| source.as_str());
    assert_eq!(at("/etc/prometheus/prometheus.yml"), Some("../prometheus/prometheus.yml"));
    assert_eq!(at("/etc/prometheus/alerts"), Some("../../alerts"));
    assert_eq!(texts(&config["rule_files"]), ["alerts/*.yml"]);
    let job = Regex::new(r#"job=~?"([^"]+)""#).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("alerts")).unwrap();
    let rules = yaml_files("alerts");
    assert!(!rules.is_empty(), "alerts/ has no rules");
    for path in rules {
        let text = fs::read_to_string(&path).unwrap();
        for one in job.captures_iter(&text) {
            assert!(jobs.contains(&&one[1]), "{}: no job {}", path.display(), &one[1]);
        }
        fs::copy(&path, folder.path().join("alerts").join(path.file_name().unwrap())).unwrap();
    }
    let file = folder.path().join("prometheus.yml");
    fs::copy(root().join(PROMETHEUS), &file).unwrap();
    let Some(checked) = installed("promtool", Command::new("promtool").args(["check", "config"]).arg(&file))
    else {
        return;
    };
    let told =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{told}");
    assert!(told.contains("SUCCESS"), "{told}");
}

#[test]
fn alertmanager_finds_its_files() {
    let compose = yaml(COMPOSE);
    let mounts = mounts(&compose, "alertmanager");
    let at =
        |target: &str| mounts.iter().find(|(_, known)| known == target).map(|(source, _)| source.as_str());
    assert_eq!(at("/etc/alertmanager/alertmanager.yml"), Some("../../config/alertmanager.yml"));
    let text = read(ALERTMANAGER);
    let secrets = Regex::new(r"(?m)^[^#]*\b[a-z_]+_file: *'?([^'\s]+)").unwrap();
    for one in secrets.captures_iter(&text) {
        assert!(
            at(&one[1]).is_some_and(|source| source.starts_with("./secrets/")),
            "nothing is mounted at {}",
            &one[1]
        );
    }
    assert!(secrets.is_match(&text), "the pager's key comes from a file");
    for template in texts(&yaml(ALERTMANAGER)["templates"]) {
        let folder = Path::new("/etc/alertmanager").join(Path::new(&template).parent().unwrap());
        assert!(at(folder.to_str().unwrap()).is_some(), "no templates at {}", folder.display());
    }
}

#[test]
fn grafana_is_provisioned_with_what_is_there() {
    let compose = yaml(COMPOSE);
    let mounts = mounts(&compose, "grafana");
    let at =
        |target: &str| mounts.iter().find(|(_, known)| known == target).map(|(source, _)| source.as_str());
    assert_eq!(at("/etc/grafana/provisioning"), Some("../grafana/provisioning"));
    let sources = yaml("deploy/grafana/provisioning/datasources/waha-watchdog.yml");
    let sources = list(&sources["datasources"]);
    let uids: BTreeSet<_> = sources.iter().map(|source| source["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), sources.len());
    let prometheus = sources.iter().find(|source| source["type"] == "prometheus").unwrap();
    assert_eq!(prometheus["jsonData"]["timeInterval"], yaml(PROMETHEUS)["global"]["scrape_interval"]);
    let provider = yaml("deploy/grafana/provisioning/dashboards/waha-watchdog.yml");
    let provider = &list(&provider["providers"])[0];
    assert_eq!(
        (&provider["disableDeletion"], &provider["allowUiUpdates"]),
        (&Value::Bool(true), &Value::Bool(false))
    );
    let path = provider["options"]["path"].as_str().unwrap();
    assert_eq!(at(path), Some("../../dashboards"));
    let environment = compose["services"]["grafana"]["environment"].as_object().unwrap();
    let home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().unwrap();
    assert!(root().join("dashboards").join(Path::new(home).strip_prefix(path).unwrap()).exists(), "{home}");
    for secret in environment
        .iter()
        .filter(|(name, _)| name.ends_with("__FILE"))
        .map(|(_, value)| value.as_str().unwrap())
    {
        assert!(at(secret).is_some(), "no secret at {secret}");
    }
    for entry in fs::read_dir(root().join("dashboards")).unwrap() {
        let board: Value = serde_json::from_str(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        let first = &board["templating"]["list"][0]["current"]["value"];
        assert_eq!(first, &prometheus["uid"], "the dashboards begin with that source");
    }
}

/// Rules and configurations are read by their owners' tests; that each is YAML at all is seen here.
#[test]
fn every_yaml_file_is_read() {
    let folders = [
        "deploy/compose",
        "deploy/prometheus",
        "deploy/grafana/provisioning/datasources",
        "deploy/grafana/provisioning/dashboards",
        "alerts",
        "config",
    ];
    let files: Vec<_> = folders.iter().flat_map(|folder| yaml_files(folder)).collect();
    assert!(files.len() >= 6, "{files:?}");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let read: Result<Value, _> = serde_saphyr::from_str(&text);
        assert!(read.is_ok_and(|value| value.is_object()), "{}", path.display());
    }
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return Vec::new() };
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "yml")).collect()
}

/// What a program says; in CI it must be there, elsewhere its absence is told.
fn installed(name: &str, command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{name}: {error}");
            eprintln!("\n!! SKIPPED: {name} is not installed\n");
            None
        }
    }
}
