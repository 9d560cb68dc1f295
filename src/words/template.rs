//! The templates of our own messages, compiled once. They are part of the program, and a test renders each in every state: whatever
//! goes wrong with one at run time is a fault of ours, logged, and no reason to send nothing.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use super::Language;

/// A template's name, and its text in each language.
type Texts = (&'static str, [(Language, &'static str); 3]);

macro_rules! texts {
    ($($name:literal),+ $(,)?) => {
        &[$((
            $name,
            [
                (Language::Es, include_str!(concat!("templates/es/", $name, ".txt"))),
                (Language::En, include_str!(concat!("templates/en/", $name, ".txt"))),
                (Language::Pt, include_str!(concat!("templates/pt/", $name, ".txt"))),
            ],
        )),+]
    };
}

const TEXTS: &[Texts] = texts![
    "quick_message",
    "admin_notice",
    "alert_preventive",
    "alert_manual_attention",
    "alert_total_loss",
    "alert_still_lost",
    "alert_restricted",
    "alert_bot_gone",
    "alert_recovered",
    "alert_trouble",
    "alert_trouble_over",
    "alert_drill",
    "alert_drill_over",
    "alert_test",
    "canary",
];

static TEMPLATES: LazyLock<[Environment<'static>; 3]> = LazyLock::new(|| Language::ALL.map(compile));

/// Plain text, no HTML: nothing is escaped. A name that the context lacks is a fault, never an empty place.
fn compile(language: Language) -> Environment<'static> {
    let mut templates = Environment::empty();
    templates.set_auto_escape_callback(|_| AutoEscape::None);
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    match SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        Ok(syntax) => templates.set_syntax(syntax),
        Err(error) => tracing::error!(kind = ?error.kind(), "templates keep their blank lines"),
    }
    for (name, texts) in TEXTS {
        for (_, text) in texts.iter().filter(|(one, _)| *one == language) {
            if let Err(error) = templates.add_template(name, text) {
                tracing::error!(template = name, ?language, kind = ?error.kind(), "a template does not compile");
            }
        }
    }
    templates
}

/// The text of `name` with what `facts` says; without blank lines at its ends or two in a row. An error names no fact.
pub(super) fn render(name: &str, facts: Value, language: Language) -> Result<String, ErrorKind> {
    let [es, en, pt] = &*TEMPLATES;
    let templates = match language {
        Language::Es => es,
        Language::En => en,
        Language::Pt => pt,
    };
    let text = templates.get_template(name).and_then(|template| template.render(facts));
    let mut shown = String::new();
    for line in text.map_err(|error| error.kind())?.trim().lines() {
        if line.is_empty() && shown.ends_with("\n\n") {
            continue;
        }
        shown.push_str(line);
        shown.push('\n');
    }
    shown.truncate(shown.trim_end().len());
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn every_template_compiles() {
        for language in Language::ALL {
            let compiled = compile(language);
            for (name, _) in TEXTS {
                assert!(compiled.get_template(name).is_ok(), "{language:?} {name}");
            }
        }
    }

    #[test]
    fn a_missing_fact_is_a_fault() {
        for (name, _) in TEXTS.iter().filter(|(name, _)| *name != "canary") {
            for language in Language::ALL {
                assert_eq!(render(name, context!(), language), Err(ErrorKind::UndefinedError), "{name}");
            }
        }
        assert_eq!(render("nothing", context!(), Language::Es), Err(ErrorKind::TemplateNotFound));
    }
}
