//! An alert for channels that are no chat: a subject, a whole text, a few lines, or one.
//!
//! They are cut from the same templates as letters: the first line names what happened, the second says since when and how many wait, the
//! last what to do; between them stand orders and evidence.

use super::letter::{Eyes, alert_text};
use super::{Language, Links};
use crate::domain::alert::Alert;

/// An alert in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worded {
    /// What happened, in a few words.
    pub headline: String,
    /// Since when, and how many wait.
    pub facts: String,
    /// Orders and evidence.
    pub details: Vec<String>,
    /// What to do.
    pub action: String,
    /// Where to look.
    pub link: Option<String>,
}

/// An alert for these eyes.
pub fn worded(alert: &Alert, eyes: Eyes, language: Language, links: &Links) -> Worded {
    let text = alert_text(alert, eyes, language);
    let mut lines = text.lines().filter(|line| !line.is_empty()).map(without_marks);
    let headline = lines.next().unwrap_or_default();
    let facts = lines.next().unwrap_or_default();
    let mut details: Vec<String> = lines.collect();
    let action = details.pop().unwrap_or_default();
    Worded { headline, facts, details, action, link: links.of(&alert.says) }
}

impl Worded {
    /// All of it.
    pub fn text(&self) -> String {
        let middle = self.details.iter().map(String::as_str);
        let lines = [self.headline.as_str(), self.facts.as_str()].into_iter().chain(middle);
        let lines = lines.chain([self.action.as_str()]).chain(self.link.as_deref());
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// One line of at most `longest` characters.
    pub fn summary(&self, longest: usize) -> String {
        let whole = [bare(&self.headline), &self.facts].into_iter().filter(|part| !part.is_empty());
        let line = whole.collect::<Vec<_>>().join(": ");
        if line.chars().count() <= longest {
            return line;
        }
        let cut: String = line.chars().take(longest.saturating_sub(1)).collect();
        format!("{cut}…")
    }

    /// Three lines, for a telephone.
    pub fn short(&self) -> [&str; 3] {
        [bare(&self.headline), &self.facts, &self.action]
    }
}

/// A line without what makes it bold in a chat: the first two stars, where it begins with one, or with a picture and one.
fn without_marks(line: &str) -> String {
    let marked = line.starts_with('*') || bare(line).starts_with('*');
    if marked { line.replacen('*', "", 2) } else { line.to_owned() }
}

/// A headline without the picture before it.
fn bare(line: &str) -> &str {
    match line.split_once(' ') {
        Some((picture, rest)) if !picture.chars().any(|c| c.is_alphanumeric() || c == '*') => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests;
