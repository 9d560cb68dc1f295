//! Reads the transcripts of a real WAHA, and compares an answer with one of them.

use serde_json::Value;

const OBSERVED: &str = include_str!("../data/waha-observed.txt");

/// Where the observed WAHA listened.
const WAHA: &str = "http://127.0.0.1:3900";

/// Values that differ from run to run: times, ids, and where in its own code WAHA failed.
const VOLATILE: [&str; 9] =
    ["timestamp", "startTimestamp", "uptime", "stack", "activity", "messageTimestamp", "id", "value", "url"];

/// One observed call.
#[derive(Debug)]
pub struct Exchange {
    pub line: String,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Given>,
    /// The body was held back until the server asked for it.
    pub expects_continue: bool,
    pub status: Option<u16>,
    pub answer_headers: Vec<(String, String)>,
    pub answer_body: String,
    pub seconds: f64,
}

/// What was sent.
#[derive(Debug, PartialEq)]
pub enum Given {
    Text(String),
    File(String),
    Form(Vec<String>),
}

/// The text of one transcript, without its fence.
pub fn transcript(number: u32) -> &'static str {
    let heading = format!("### transcript {number}\n```\n");
    let start = OBSERVED.find(&heading).expect("the transcript") + heading.len();
    let end = OBSERVED[start..].find("\n```").expect("its end");
    &OBSERVED[start..start + end]
}

/// The part of a narrated transcript under one `##` heading; the text before the first is under "".
pub fn narrated(number: u32, heading: &str) -> Vec<&'static str> {
    let mut current = "";
    let mut lines = Vec::new();
    for line in transcript(number).lines() {
        if let Some(title) = line.strip_prefix("## ") {
            current = title;
        } else if current == heading && !line.is_empty() {
            lines.push(line);
        }
    }
    assert!(!lines.is_empty(), "nothing is told under {heading:?}");
    lines
}

/// The bodies among narrated lines.
pub fn bodies<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    lines.iter().copied().filter(|line| line.starts_with('{') || line.starts_with("[{")).collect()
}

/// All calls of a transcript that are written as `curl` commands.
pub fn exchanges(number: u32) -> Vec<Exchange> {
    transcript(number).split("$ curl ").skip(1).map(exchange).collect()
}

fn exchange(text: &str) -> Exchange {
    let (line, rest) = text.split_once('\n').expect("a command and an answer");
    let mut exchange = Exchange {
        line: line.to_owned(),
        method: String::new(),
        target: String::new(),
        headers: Vec::new(),
        body: None,
        expects_continue: false,
        status: None,
        answer_headers: Vec::new(),
        answer_body: String::new(),
        seconds: 0.0,
    };
    read_command(line, &mut exchange);
    let continued = rest.strip_prefix("HTTP/1.1 100 Continue\n\n");
    exchange.expects_continue = continued.is_some();
    let mut rest = continued.unwrap_or(rest);
    if let Some((head, tail)) = rest.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split_once("\n\n")) {
        let mut lines = head.lines();
        exchange.status = lines.next().and_then(|status| status[..3].parse().ok());
        exchange.answer_headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        rest = tail;
    }
    let (body, time) = rest.rsplit_once("[time ").expect("how long it took");
    exchange.answer_body = body.trim().to_owned();
    exchange.seconds = time.split('s').next().and_then(|time| time.parse().ok()).expect("seconds");
    exchange
}

/// The commands were noted without quotes: a value goes on until the next option or the URL.
fn read_command(line: &str, exchange: &mut Exchange) {
    const OPTIONS: [&str; 9] =
        ["-H", "-X", "-d", "-F", "-I", "-m", "--data-binary", "--http1.1", "--http2-prior-knowledge"];
    let words: Vec<&str> = line.split(' ').collect();
    let mut method = None;
    let mut form = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let option = words[at];
        at += 1;
        if let Some(target) = option.strip_prefix(WAHA) {
            exchange.target = target.to_owned();
            continue;
        }
        let mut value = Vec::new();
        while at < words.len() && !OPTIONS.contains(&words[at]) && !words[at].starts_with(WAHA) {
            value.push(words[at]);
            at += 1;
        }
        let value = value.join(" ");
        match option {
            "-H" => {
                let (name, value) = value.split_once(':').expect("a header");
                if !value.trim().is_empty() {
                    exchange.headers.push((name.to_owned(), value.trim().to_owned()));
                }
            }
            "-X" => method = Some(value),
            "-I" => method = Some("HEAD".to_owned()),
            "-d" => exchange.body = Some(Given::Text(value)),
            "--data-binary" => exchange.body = Some(Given::File(value)),
            "-F" => form.push(value),
            "-m" | "--http1.1" | "--http2-prior-knowledge" => {}
            other => panic!("an option this reader does not know: {other}"),
        }
    }
    if !form.is_empty() {
        exchange.body = Some(Given::Form(form));
    }
    exchange.method = method.unwrap_or_else(|| "GET".to_owned());
}

/// How two bodies compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// Equal to the last byte.
    Same,
    /// Alike but for values that differ from run to run, or for what the transcript cuts off.
    Alike,
}

/// Asserts that a body has the observed one's form and, where it does not vary, its values.
pub fn assert_alike(what: &str, observed: &str, got: &str) -> Likeness {
    if observed == got {
        return Likeness::Same;
    }
    let got: Value =
        serde_json::from_str(got).unwrap_or_else(|_| panic!("{what}: {got:?} instead of {observed}"));
    match serde_json::from_str::<Value>(observed) {
        Ok(observed) => compare(what, "$", &observed, &got, true),
        Err(_) => compare(what, "$", &mended(observed), &got, false),
    }
    Likeness::Alike
}

/// A cut body closed at the last place where it can be.
fn mended(cut: &str) -> Value {
    for end in (1..=cut.len()).rev().filter(|end| cut.is_char_boundary(*end)) {
        let (mut open, mut in_string, mut escaped) = (Vec::new(), false, false);
        for byte in cut[..end].bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' if !in_string => open.push('}'),
                b'[' if !in_string => open.push(']'),
                b'}' | b']' if !in_string => {
                    open.pop();
                }
                _ => {}
            }
        }
        let quote = if in_string { "\"" } else { "" };
        let closing: String = open.into_iter().rev().collect();
        if let Ok(value) = serde_json::from_str(&format!("{}{quote}{closing}", &cut[..end])) {
            return value;
        }
    }
    panic!("not the beginning of JSON: {cut}");
}

fn compare(what: &str, place: &str, observed: &Value, got: &Value, is_whole: bool) {
    match (observed, got) {
        (Value::Object(observed), Value::Object(got)) => {
            let wanted: Vec<&String> = observed.keys().collect();
            let mut keys: Vec<&String> = got.keys().collect();
            if !is_whole {
                keys.truncate(wanted.len());
            }
            assert_eq!(keys, wanted, "{what}: keys at {place}");
            for (key, value) in observed {
                let place = format!("{place}.{key}");
                if VOLATILE.contains(&key.as_str()) {
                    assert_eq!(kind(&got[key]), kind(value), "{what}: type of {place}");
                } else {
                    compare(what, &place, value, &got[key], is_whole);
                }
            }
        }
        (Value::Array(observed), Value::Array(got)) => {
            if is_whole {
                assert_eq!(got.len(), observed.len(), "{what}: length of {place}");
            }
            for (n, (observed, got)) in observed.iter().zip(got).enumerate() {
                compare(what, &format!("{place}[{n}]"), observed, got, is_whole);
            }
        }
        _ => assert_eq!(got, observed, "{what}: value of {place}"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
