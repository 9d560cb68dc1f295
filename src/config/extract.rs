//! `[[extract]]`: reading the rules that take order data out of message texts. Applying them is not done here.

use regex::{Regex, RegexBuilder};

use super::read::{Reader, Row};
use super::settings::{EXTRACT_GROUPS, ExtractRule};

/// A compiled expression may take this much memory, in bytes; each text runs through all rules.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The rules in the order they are tried.
pub(super) fn rules(r: &mut Reader) -> Vec<ExtractRule> {
    r.tables("extract", &["type", "pattern", "when"], |row| {
        // All three, so that each reports its own faults.
        let (kind, pattern, when) = (row.choice("type"), pattern(row), when(row));
        Some(ExtractRule { notification_type: kind?, pattern: pattern?, when: when? })
    })
}

fn pattern(row: &mut Row<'_>) -> Option<Regex> {
    row.text("pattern", "a regular expression with named groups", |text| {
        let regex = regex(text)?;
        let allowed = EXTRACT_GROUPS.join(", ");
        let names: Vec<&str> = regex.capture_names().flatten().collect();
        match names.iter().find(|name| !EXTRACT_GROUPS.contains(name)) {
            Some(unknown) => Err(format!("has an unknown group {unknown}; groups are {allowed}")),
            None if names.is_empty() => {
                Err(format!("must have a named group such as (?P<order_number>\\S+); groups are {allowed}"))
            }
            None => Ok(regex),
        }
    })
}

fn when(row: &mut Row<'_>) -> Option<Option<Regex>> {
    row.optional("when", "a regular expression", regex)
}

fn regex(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("is a regular expression that takes more than {limit} bytes")
        }
        // The last line of a syntax error says what is wrong, those before show where with a caret.
        error => {
            let text = error.to_string();
            let reason =
                text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            format!("is no regular expression: {reason}")
        }
    })
}
