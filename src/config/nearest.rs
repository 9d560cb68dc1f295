//! "Did you mean ...": what to tell whoever wrote a key that does not exist.

use figment::value::{Dict, Value};

/// All keys there are, sections included.
pub(super) struct Known(Vec<String>);

impl Known {
    pub(super) fn of(dict: &Dict) -> Self {
        let mut keys = Vec::new();
        collect("", dict, &mut keys);
        Self(keys)
    }

    /// A hint for an unknown key: the nearest known one, else what its section has.
    ///
    /// A slip of the finger within the section is likelier than the right word in the wrong section, and that than
    /// slips in both.
    pub(super) fn hint(&self, key: &str) -> String {
        let (section, name) = split(key);
        let siblings = self.0.iter().filter(|known| split(known).0 == section);
        let namesakes = self.0.iter().filter(|known| split(known).1 == name);
        let found = closest(key, siblings.clone())
            .or_else(|| namesakes.max_by(|a, b| strsim::jaro(key, a).total_cmp(&strsim::jaro(key, b))))
            .or_else(|| closest(key, self.0.iter()));
        match found {
            Some(known) => format!("did you mean {known}?"),
            None => {
                let names: Vec<&str> = siblings.map(|known| split(known).1).collect();
                let place = if section.is_empty() {
                    "at the top there are".to_owned()
                } else {
                    format!("{section} has")
                };
                format!("{place} {}", names.join(", "))
            }
        }
    }
}

/// A hint for an unknown field of a table in a list.
pub(super) fn field(name: &str, fields: &[&str]) -> String {
    match closest(name, fields.iter()) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("there are {}", fields.join(", ")),
    }
}

/// The candidate that differs in the fewest letters, if those are few: one, or a third of the name.
fn closest<S: AsRef<str>>(key: &str, candidates: impl Iterator<Item = S>) -> Option<S> {
    let name = split(key).1.to_lowercase();
    let distance = |known: &S| {
        let (section, known) = split(known.as_ref());
        strsim::damerau_levenshtein(split(key).0, section) + strsim::damerau_levenshtein(&name, known)
    };
    let near = candidates.map(|known| (distance(&known), known)).min_by_key(|(distance, _)| *distance)?;
    (near.0 <= (name.len() / 3).max(1)).then_some(near.1)
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

fn collect(prefix: &str, dict: &Dict, keys: &mut Vec<String>) {
    for (name, value) in dict {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if let Value::Dict(_, inner) = value {
            collect(&key, inner, keys);
        }
        keys.push(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints() {
        let known = Known(
            [
                "log",
                "log.level",
                "proxy",
                "proxy.listen",
                "proxy.max_body",
                "store",
                "store.path",
                "admin",
                "admin.listen",
            ]
            .map(str::to_owned)
            .into(),
        );
        for (key, hint) in [
            ("proxy.lisen", "did you mean proxy.listen?"),
            ("proxy.maxbody", "did you mean proxy.max_body?"),
            ("proxy.path", "did you mean store.path?"),
            ("prox.listen", "did you mean proxy.listen?"),
            ("stor", "did you mean store?"),
            ("listen", "did you mean admin.listen?"),
            ("proxy.zzz", "proxy has listen, max_body"),
            ("zzz", "at the top there are log, proxy, store, admin"),
        ] {
            assert_eq!(known.hint(key), hint, "{key}");
        }
        assert_eq!(field("rol", &["name", "role"]), "did you mean role?");
        assert_eq!(field("pass", &["name", "role"]), "there are name, role");
    }
}
