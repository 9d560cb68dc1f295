//! Reads Markdown the way the tests need it: fenced blocks, code between backticks, headings, links, table rows.
//!
//! Not a parser: it knows the Markdown we write.

use std::fs;
use std::path::Path;

use regex::Regex;

/// One document.
pub(crate) struct Page {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text without what stands in fences; line numbers survive.
    prose: String,
    fences: Vec<Fence>,
}

/// A fenced block.
pub(crate) struct Fence {
    pub(crate) language: String,
    /// Line of its first line, counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
    /// The heading it stands under.
    pub(crate) heading: String,
}

impl Page {
    pub(crate) fn read(root: &Path, path: &str) -> Self {
        let text = fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (mut prose, mut fences, mut heading) = (String::new(), Vec::new(), String::new());
        let mut open: Option<Fence> = None;
        for (at, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(language)) => {
                    let language = language.to_owned();
                    open =
                        Some(Fence { language, line: at + 2, text: String::new(), heading: heading.clone() });
                }
                (Some(_), Some(_)) => fences.extend(open.take()),
                (Some(fence), None) => {
                    fence.text.push_str(line);
                    fence.text.push('\n');
                }
                (None, None) => {
                    if let Some(title) = title(line) {
                        title.clone_into(&mut heading);
                    }
                    prose.push_str(line);
                }
            }
            prose.push('\n');
        }
        assert!(open.is_none(), "{path}: a fence is not closed");
        Self { path: path.to_owned(), text, prose, fences }
    }

    pub(crate) fn fences<'a>(&'a self, languages: &'a [&str]) -> impl Iterator<Item = &'a Fence> {
        self.fences.iter().filter(move |fence| languages.contains(&fence.language.as_str()))
    }

    /// What stands between backticks, with its line.
    pub(crate) fn code(&self) -> Vec<(usize, &str)> {
        let span = Regex::new("`([^`\n]+)`").unwrap();
        let lines = self.prose.lines().enumerate();
        let spans = lines.flat_map(|(at, line)| {
            span.captures_iter(line).map(move |found| (at + 1, found.get(1).unwrap().as_str()))
        });
        spans.collect()
    }

    pub(crate) fn headings(&self) -> Vec<&str> {
        self.prose.lines().filter_map(title).collect()
    }

    /// The names by which links reach the headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor = |heading: &str| heading.to_lowercase().chars().filter(kept).collect::<String>();
        self.headings().into_iter().map(|heading| anchor(heading).replace(' ', "-")).collect()
    }

    /// Targets of links and pictures, with their line.
    pub(crate) fn links(&self) -> Vec<(usize, &str)> {
        let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
        let lines = self.prose.lines().enumerate();
        let links = lines.flat_map(|(at, line)| {
            link.captures_iter(line).map(move |found| (at + 1, found.get(1).unwrap().as_str()))
        });
        links.collect()
    }

    /// The rows of all tables, without heads and backticks.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let lines: Vec<_> = self.prose.lines().collect();
        let is_rule = |line: &str| line.starts_with("| ---");
        let is_head = |at: usize| lines.get(at + 1).is_some_and(|next| is_rule(next));
        let rows = lines
            .iter()
            .enumerate()
            .filter(|(at, line)| line.starts_with('|') && !is_rule(line) && !is_head(*at));
        rows.map(|(_, line)| {
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect()
    }
}

fn title(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('#');
    (title.len() < line.len()).then(|| title.strip_prefix(' ')).flatten()
}
