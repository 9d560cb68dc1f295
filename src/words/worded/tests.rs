//! Every alert in its other forms, in every language and every state: the letters' own tests make them.

use super::super::letter::tests::{alert, every_alert};
use super::*;
use crate::domain::alert::Says;
use crate::domain::errand::LetterText;

fn links() -> Links {
    Links::new(Some("https://dog.example.com".to_owned()))
}

fn of(letter: &LetterText) -> &Alert {
    match letter {
        LetterText::Alert(alert) => alert,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_form_is_whole() {
    for letter in every_alert() {
        for language in Language::ALL {
            for eyes in [Eyes::Private, Eyes::Others] {
                let one = worded(of(&letter), eyes, language, &links());
                let text = one.text();
                assert!(!one.headline.contains('*') && !one.action.contains('*'), "{text}");
                assert!(
                    !one.headline.is_empty() && !one.facts.is_empty() && !one.action.is_empty(),
                    "{text}"
                );
                assert!(text.ends_with("/panel/") || text.ends_with("/panel/orders"), "{text}");
                let summary = one.summary(1024);
                assert!(!summary.contains('\n') && summary.chars().count() <= 1024, "{summary}");
                assert!(summary.starts_with(|c: char| c.is_alphabetic()), "no picture: {summary}");
                assert!(one.summary(60).chars().count() <= 60);
                assert!(one.short().iter().all(|line| !line.contains('\n') && !line.is_empty()), "{text}");
            }
        }
    }
}

#[test]
fn others_are_told_no_names() {
    for says in [Says::Drill { who: "Ana".to_owned() }, Says::Test { who: "Ana".to_owned() }] {
        let letter = alert(says);
        for language in Language::ALL {
            assert!(worded(of(&letter), Eyes::Private, language, &links()).text().contains("Ana"));
            let told = worded(of(&letter), Eyes::Others, language, &Links::default());
            assert!(!told.text().contains("Ana") && told.link.is_none(), "{told:?}");
        }
    }
}

#[test]
fn a_drill_says_so_first() {
    let letter = alert(Says::Drill { who: "Ana".to_owned() });
    let told = worded(of(&letter), Eyes::Others, Language::Es, &links());
    assert_eq!(told.headline, "🧪 SIMULACRO (sesión default)");
    assert_eq!(
        told.summary(1024),
        "SIMULACRO (sesión default): Alguien prueba que los avisos llegan. No pasa nada: el bot funciona y ningún cliente espera."
    );
    assert_eq!(told.short()[2], "Qué hacer: Nada. Termina solo.");
}
