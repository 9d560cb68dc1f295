//! Reads typed values out of the merged layers and collects every fault on the way instead of stopping at the first.
//!
//! A faulty value is replaced by its default so that reading goes on; the faults decide at the end whether anything
//! read may be used. Which limits a key has is said by the caller.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use super::fault::Fault;
use super::secret::{self, MASK, Secret};
use super::settings::Choice;
use super::{layers, literal, nearest, unit};

/// What is in force for one key.
pub(super) struct Entry {
    pub(super) key: String,
    /// The value, secrets masked.
    pub(super) value: Value,
    pub(super) layer: String,
    /// What the key takes, in the words of the documentation.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests hold it against the documentation"))]
    pub(super) allowed: String,
}

impl Entry {
    pub(super) fn is_default(&self) -> bool {
        self.layer == layers::DEFAULTS_NAME
    }
}

/// What may be shown of a value.
#[derive(Clone, Copy, PartialEq)]
enum Show {
    All,
    /// A URL that is refused may hold a password or key; one that is taken does not.
    Url,
    /// A URL whose path may be as good as a password.
    Origin,
    Nothing,
}

pub(super) struct Reader {
    figment: Figment,
    merged: Value,
    defaults: Value,
    /// False when a layer could not be read, so that what is missing may merely be unknown.
    complete: bool,
    faults: Vec<Fault>,
    clashes: Vec<Fault>,
    entries: Vec<Entry>,
}

impl Reader {
    /// Over the merged layers, which have the shape of the defaults; with the faults found so far.
    pub(super) fn new(figment: Figment, defaults: Dict, complete: bool, faults: Vec<Fault>) -> Self {
        let merged = figment.data().ok().and_then(|mut profiles| profiles.remove(&Profile::Default));
        let merged = Value::from(merged.unwrap_or_default());
        Self {
            figment,
            merged,
            defaults: Value::from(defaults),
            complete,
            faults,
            clashes: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(super) fn finish(mut self) -> (Vec<Entry>, Vec<Fault>) {
        self.faults.append(&mut self.clashes);
        (self.entries, self.faults)
    }

    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let (from, to) = (unit::format_duration(*range.start()), unit::format_duration(*range.end()));
        self.value(
            key,
            &format!("a duration from {from} to {to}"),
            ", like \"150ms\", \"10s\" or \"3m\"",
            |value| value.as_str().and_then(unit::parse_duration).filter(|duration| range.contains(duration)),
        )
    }

    /// A duration that may be empty, which means none.
    pub(super) fn optional_duration(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let (from, to) = (unit::format_duration(*range.start()), unit::format_duration(*range.end()));
        let allowed = format!("a duration from {from} to {to}, or empty");
        self.optional(key, &allowed, |text| {
            let parsed = unit::parse_duration(text).filter(|duration| range.contains(duration));
            parsed.ok_or_else(|| format!("must be {allowed}, like \"10s\" or \"3m\""))
        })
    }

    /// In bytes.
    pub(super) fn size(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let (from, to) = (unit::format_size(*range.start()), unit::format_size(*range.end()));
        self.value(key, &format!("a size from {from} to {to}"), ", like \"512KiB\" or \"64MiB\"", |value| {
            value.as_str().and_then(unit::parse_size).filter(|bytes| range.contains(bytes))
        })
    }

    pub(super) fn int<N: TryFrom<u64>>(&mut self, key: &str, range: RangeInclusive<u64>) -> N {
        self.value(key, &format!("a whole number from {} to {}", range.start(), range.end()), "", |value| {
            let number = u64::try_from(value.to_i128()?).ok().filter(|number| range.contains(number))?;
            N::try_from(number).ok()
        })
    }

    pub(super) fn float(&mut self, key: &str, range: RangeInclusive<f64>) -> f64 {
        self.value(key, &format!("a number from {} to {}", range.start(), range.end()), "", |value| {
            // Nobody should need to write 2.0 for 2.
            #[expect(clippy::cast_precision_loss, reason = "what is lost is far outside every range")]
            let number = value.to_f64().or_else(|| value.to_i128().map(|whole| whole as f64))?;
            range.contains(&number).then_some(number)
        })
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.value(key, "true or false", "", Value::to_bool)
    }

    pub(super) fn choice<C: Choice>(&mut self, key: &str) -> C {
        self.value(key, &words::<C>(), "", |value| value.as_str().and_then(choice))
    }

    pub(super) fn addr(&mut self, key: &str) -> SocketAddr {
        self.value(key, "an address like 127.0.0.1:3001", " or [::1]:3001, a number and no name", |value| {
            value.as_str()?.parse().ok()
        })
    }

    /// A text that must be there; `parse` says what is wrong, continuing "key ...".
    pub(super) fn text<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.read(key, allowed, Show::All, |value| parse(as_text(value, allowed)?))
    }

    /// A text that may be empty, which means none.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, allowed, Show::All, |value| unless_empty(value, allowed, &parse))
    }

    /// A URL; what is wrong with it may be that it holds a password, so then that part is not shown.
    pub(super) fn url<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.read(key, allowed, Show::Url, |value| parse(as_text(value, allowed)?))
    }

    /// A URL that may be empty, which means none.
    pub(super) fn optional_url<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, allowed, Show::Url, |value| unless_empty(value, allowed, &parse))
    }

    /// The same where whoever knows the whole of it may do something: only its host is shown.
    pub(super) fn hidden_url<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, allowed, Show::Origin, |value| unless_empty(value, allowed, &parse))
    }

    /// `key` holds the secret, or `key_file` the path of a file with it.
    pub(super) fn secret(&mut self, key: &str, chars_min: usize) -> Option<Secret> {
        let key_file = format!("{key}_file");
        let allowed = "a text of visible ASCII characters";
        let direct = self.read(key, allowed, Show::Nothing, |value| {
            unless_empty(value, allowed, |text| secret::check(text, chars_min))
        });
        let allowed = "the path of a file with the secret";
        let filed = self.read(&key_file, allowed, Show::All, |value| {
            unless_empty(value, allowed, |path| secret::from_file(Path::new(path), chars_min))
        });
        if direct.is_some() && filed.is_some() {
            let other = self.named(key);
            self.fault(&key_file, format!("clashes with {other}: set one of the two"));
        }
        direct.or(filed)
    }

    /// A list of texts, each parsed on its own; none twice.
    pub(super) fn list(
        &mut self,
        key: &str,
        allowed: &str,
        len: RangeInclusive<usize>,
        parse: impl Fn(&str) -> Option<String>,
    ) -> Vec<String> {
        self.read(key, allowed, Show::All, |value| {
            let wrong = || format!("must be {allowed}");
            let items = value.as_array().filter(|items| len.contains(&items.len())).ok_or_else(wrong)?;
            let mut texts: Vec<String> = Vec::with_capacity(items.len());
            for item in items {
                let text = item
                    .as_str()
                    .and_then(&parse)
                    .ok_or_else(|| format!("must be {allowed}; {} is not allowed", literal::short(item)))?;
                if texts.contains(&text) {
                    return Err(format!("names {} twice", literal::short(item)));
                }
                texts.push(text);
            }
            Ok(texts)
        })
    }

    /// A list of tables with these fields, read one by one; those with a fault are left out.
    pub(super) fn tables<T>(
        &mut self,
        key: &str,
        fields: &[&str],
        read: impl Fn(&mut Row<'_>) -> Option<T>,
    ) -> Vec<T> {
        let allowed = format!("a list of tables with {}", fields.join(", "));
        let tables = self.read(key, &allowed, Show::Nothing, |value| {
            let items = value.as_array().ok_or_else(|| format!("must be {allowed}"))?;
            let tables = items.iter().map(|item| item.as_dict().cloned());
            tables.collect::<Option<Vec<Dict>>>().ok_or_else(|| format!("must be {allowed}"))
        });
        let layer = self.layer(key);
        let read_one = |(index, dict): (usize, &Dict)| {
            let mut row =
                Row { key: format!("{key}[{index}]"), layer: &layer, dict, faults: &mut self.faults };
            row.refuse_unknown(fields);
            read(&mut row)
        };
        let rows = tables.iter().enumerate().filter_map(read_one).collect();
        if let Some(entry) = self.entries.last_mut() {
            entry.value = Value::from(tables.into_iter().map(mask_fields).collect::<Vec<_>>());
        }
        rows
    }

    /// Reports that keys do not fit together, under the first of them; silent when one of them is at fault already or
    /// not known for sure. `problem` continues "first ..." and gets the other keys as text.
    pub(super) fn clash(&mut self, keys: &[&str], problem: impl FnOnce(&[String]) -> String) {
        let Some((first, others)) = keys.split_first() else { return };
        if keys.iter().all(|key| self.is_sound(key)) {
            let others: Vec<String> = others.iter().map(|key| self.named(key)).collect();
            self.clashes.push(self.about(first, problem(&others)));
        }
    }

    /// Whether a layer above the defaults says something about a key that was read.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|entry| !entry.is_default())
    }

    fn is_sound(&self, key: &str) -> bool {
        let concerns = |fault: &Fault| {
            let rest =
                |longer: &str, shorter: &str| longer.strip_prefix(shorter).map(|rest| rest.chars().next());
            matches!(rest(&fault.key, key), Some(None | Some('[')))
                || matches!(rest(key, &fault.key), Some(Some('.')))
        };
        self.complete && !self.faults.iter().any(concerns)
    }

    /// `parse` decides yes or no.
    fn value<T>(&mut self, key: &str, allowed: &str, hint: &str, parse: impl Fn(&Value) -> Option<T>) -> T {
        self.read(key, allowed, Show::All, |value| {
            parse(value).ok_or_else(|| format!("must be {allowed}{hint}"))
        })
    }

    /// The one way to a value: notes it for `config show`, parses it, or reports and takes the default.
    fn read<T>(
        &mut self,
        key: &str,
        allowed: &str,
        show: Show,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> T {
        #[expect(
            clippy::expect_used,
            reason = "layers are conformed to the defaults; a test reads every key"
        )]
        let value = self.merged.find_ref(key).expect("a key that stands in watchdog.toml");
        let parsed = parse(value);
        let shown = shown(value, show, parsed.is_ok());
        self.entries.push(Entry {
            key: key.to_owned(),
            value: shown,
            layer: self.layer(key),
            allowed: allowed.to_owned(),
        });
        parsed.unwrap_or_else(|problem| {
            self.fault(key, problem);
            #[expect(clippy::expect_used, reason = "as above; the test loads the defaults")]
            self.defaults.find_ref(key).and_then(|value| parse(value).ok()).expect("a sound default")
        })
    }

    fn fault(&mut self, key: &str, problem: String) {
        self.faults.push(self.about(key, problem));
    }

    fn about(&self, key: &str, problem: String) -> Fault {
        // A list of tables is too much to be recognized on one line; its faults name the table.
        let tables = |value: &Value| {
            value.as_array().is_some_and(|items| items.iter().any(|item| item.as_dict().is_some()))
        };
        let value =
            self.entry(key).map(|entry| &entry.value).filter(|value| !tables(value)).map(literal::short);
        Fault { key: key.to_owned(), value, layer: self.layer(key), problem }
    }

    /// `key = value (layer)`
    fn named(&self, key: &str) -> String {
        let value = self.entry(key).map_or_else(String::new, |entry| literal::short(&entry.value));
        format!("{key} = {value} ({})", self.layer(key))
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn layer(&self, key: &str) -> String {
        let metadata = self.merged.find_ref(key).and_then(|value| self.figment.get_metadata(value.tag()));
        metadata.map_or_else(String::new, |metadata| metadata.name.to_string())
    }
}

/// One table of a list, such as one of `admin.tokens`. A method that reports a fault returns none.
pub(super) struct Row<'r> {
    key: String,
    layer: &'r str,
    dict: &'r Dict,
    faults: &'r mut Vec<Fault>,
}

impl Row<'_> {
    /// A field that must be there.
    pub(super) fn text<T>(
        &mut self,
        field: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.optional(field, allowed, parse)? {
            None => self.fault(field, None, format!("is missing; must be {allowed}")),
            present => present,
        }
    }

    /// A field that may be missing or empty.
    pub(super) fn optional<T>(
        &mut self,
        field: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let dict = self.dict;
        let Some(value) = dict.get(field) else { return Some(None) };
        let parsed = unless_empty(value, allowed, parse);
        parsed.map_or_else(|problem| self.fault(field, Some(literal::short(value)), problem), Some)
    }

    pub(super) fn choice<C: Choice>(&mut self, field: &str) -> Option<C> {
        let allowed = words::<C>();
        self.text(field, &allowed, |text| choice(text).ok_or_else(|| format!("must be {allowed}")))
    }

    /// `field` holds the secret, or `field_file` the path of a file with it; one of them must.
    pub(super) fn secret(&mut self, field: &str, chars_min: usize) -> Option<Secret> {
        let field_file = format!("{field}_file");
        let dict = self.dict;
        let present = |field: &str| dict.get(field).filter(|value| value.as_str() != Some(""));
        match (present(field), present(&field_file)) {
            (Some(value), None) => {
                let checked = as_text(value, "a text").and_then(|text| secret::check(text, chars_min));
                checked.map_or_else(
                    |problem| self.fault(field, Some(literal::toml(&MASK.into())), problem),
                    Some,
                )
            }
            (None, Some(_)) => self.text(&field_file, "the path of a file with the secret", |path| {
                secret::from_file(Path::new(path), chars_min)
            }),
            (None, None) => self.fault(field, None, format!("is missing; set it or {field_file}")),
            (Some(_), Some(_)) => {
                self.fault(&field_file, None, format!("clashes with {field}: set one of the two"))
            }
        }
    }

    /// Reports a problem of one field; always none, as the answer of whoever reports.
    pub(super) fn fault<T>(&mut self, field: &str, value: Option<String>, problem: String) -> Option<T> {
        let key = format!("{}.{field}", self.key);
        self.faults.push(Fault { key, value, layer: self.layer.to_owned(), problem });
        None
    }

    fn refuse_unknown(&mut self, fields: &[&str]) {
        for name in self.dict.keys().filter(|name| !fields.contains(&name.as_str())) {
            let key = format!("{}.{name}", self.key);
            let problem = format!("is an unknown key; {}", nearest::field(name, fields));
            self.faults.push(Fault { key, value: None, layer: self.layer.to_owned(), problem });
        }
    }
}

/// A file that is there and can be read.
pub(super) fn readable_file(path: &str) -> Result<PathBuf, String> {
    std::fs::File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    Ok(PathBuf::from(path))
}

fn as_text<'v>(value: &'v Value, allowed: &str) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("must be {allowed}, in quotes"))
}

/// None for the empty text, which is how a key that may be missing is missing.
fn unless_empty<T>(
    value: &Value,
    allowed: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match as_text(value, allowed)? {
        "" => Ok(None),
        text => parse(text).map(Some),
    }
}

fn choice<C: Choice>(text: &str) -> Option<C> {
    C::ALL.iter().copied().find(|choice| choice.word() == text)
}

/// `"a", "b" or "c"`
fn words<C: Choice>() -> String {
    let words: Vec<String> = C::ALL.iter().map(|choice| format!("\"{}\"", choice.word())).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn shown(value: &Value, show: Show, sound: bool) -> Value {
    match (show, value.as_str()) {
        (Show::All, _) | (_, Some("")) => value.clone(),
        (Show::Url, Some(_)) if sound => value.clone(),
        (Show::Url, Some(text)) => Value::from(redact_url(text)),
        (Show::Origin, Some(text)) if sound => Value::from(origin_of(text)),
        _ => Value::from(MASK),
    }
}

/// Everything before the last `@` of the authority may be a password, everything behind `?` a key.
fn redact_url(text: &str) -> String {
    let (address, query) = text.split_once('?').map_or((text, ""), |(address, _)| (address, "?***"));
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let slashes = if scheme.is_empty() { "" } else { "://" };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{slashes}{MASK}@{host}{query}"),
        None => format!("{address}{query}"),
    }
}

/// Scheme and host; the rest is masked.
fn origin_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}/{MASK}")
}

/// Secrets of a table are fields named `secret`.
fn mask_fields(dict: Dict) -> Value {
    let masked = dict.into_iter().map(|(name, value)| {
        let value = if name == "secret" { Value::from(MASK) } else { value };
        (name, value)
    });
    Value::from(masked.collect::<Dict>())
}
