//! Mails through a server that does as it is told.

use std::sync::Arc;

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::super::testing::smtp::{AfterData, MailServer, Rules};
use super::super::testing::{INCIDENT, channels, loss, recovered, tell, tell_again};
use super::super::{Channels, Settings};
use super::*;
use crate::domain::delivery::Channel;

fn tls_file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(tls_file("localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("localhost-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth();
    let config = config.with_single_cert(chain.map(Result::unwrap).collect(), key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn settings(server: &MailServer, to: &[&str]) -> EmailSettings {
    EmailSettings {
        host: "localhost".to_owned(),
        port: server.address.port(),
        security: MailSecurity::None,
        login: None,
        ca: Some(std::fs::read(tls_file("ca.pem")).unwrap()),
        from: "Watchdog <dog@shop.example>".parse().unwrap(),
        to: to.iter().map(|to| to.parse().unwrap()).collect(),
    }
}

fn by(email: EmailSettings) -> Channels {
    channels(Settings { email: Some(email), ..Settings::default() })
}

#[tokio::test]
async fn everybody_gets_a_mail_and_those_of_an_incident_are_one_thread() {
    let server = MailServer::start(Rules::default()).await;
    let channels = by(settings(&server, &["ana@shop.example", "eva@shop.example"]));
    let begun = loss(1, &["ORD-1", "ORD-2"]);
    assert_eq!(tell(&channels, Channel::Email, &begun).await, Outcome::Accepted);
    assert_eq!(tell(&channels, Channel::Email, &recovered(2)).await, Outcome::Accepted);
    let mails = server.mails();
    let to: Vec<_> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["ana@shop.example", "eva@shop.example", "ana@shop.example", "eva@shop.example"]);
    assert_eq!(mails[0].from, "dog@shop.example");
    assert_eq!(mails[0].header("Message-ID").unwrap(), format!("<{}@shop.example>", begun.id));
    assert_ne!(mails[2].header("Message-ID"), mails[0].header("Message-ID"));
    for mail in &mails {
        for header in ["References", "In-Reply-To"] {
            assert_eq!(mail.header(header).unwrap(), format!("<{INCIDENT}@shop.example>"));
        }
        assert_eq!(mail.header("Auto-Submitted").unwrap(), "auto-generated");
        assert_eq!(mail.header("Content-Type").unwrap(), "text/plain; charset=utf-8");
        assert!(mail.data.contains("https://dog.example.com/panel/orders"), "{}", mail.data);
    }
    assert!(mails[0].data.contains("ORD-1, ORD-2"), "{}", mails[0].data);
    let subject = mails[0].header("Subject").unwrap();
    assert!(subject.contains("BOT COMPLETAMENTE INCOMUNICADO") || subject.contains("=?utf-8?"), "{subject}");
    assert_eq!(mails[0].header("Date").unwrap(), "Mon, 03 Nov 2025 14:05:00 +0000");
}

#[tokio::test]
async fn over_tls_and_with_a_login() {
    let login = Some(("dog".to_owned(), "geheim".to_owned()));
    for (security, rules) in [
        (MailSecurity::Tls, Rules { tls: Some(acceptor()), ..Rules::default() }),
        (MailSecurity::Starttls, Rules { starttls: Some(acceptor()), ..Rules::default() }),
    ] {
        let server = MailServer::start(Rules { login: Some("dog geheim".to_owned()), ..rules }).await;
        let settings = || EmailSettings { security, ..settings(&server, &["ana@shop.example"]) };
        let right = by(EmailSettings { login: login.clone(), ..settings() });
        assert_eq!(tell(&right, Channel::Email, &loss(1, &[])).await, Outcome::Accepted, "{security:?}");
        assert!(server.mails()[0].secured);
        let said = right.reach().await.remove(0).1.unwrap();
        assert_eq!(said, "the mail server answers over TLS, the login is taken; 1 recipients");
        // Whoever can mend a wrong password may do so: the alert waits.
        let wrong = by(EmailSettings { login: Some(("dog".to_owned(), "falsch".to_owned())), ..settings() });
        assert_eq!(tell(&wrong, Channel::Email, &loss(2, &[])).await, Outcome::Failed);
        let said = wrong.reach().await.remove(0).1.unwrap_err();
        assert_eq!(said, "the login is refused: the mail server answers 535");
        // Not trusted.
        let stranger = by(EmailSettings { login: login.clone(), ca: None, ..settings() });
        assert_eq!(tell(&stranger, Channel::Email, &loss(3, &[])).await, Outcome::Failed);
        assert_eq!(server.mails().len(), 1);
    }
}

#[tokio::test]
async fn without_the_tls_it_wants_nothing_leaves() {
    let server = MailServer::start(Rules::default()).await;
    let settings =
        EmailSettings { security: MailSecurity::Starttls, ..settings(&server, &["ana@shop.example"]) };
    assert_eq!(tell(&by(settings), Channel::Email, &loss(1, &[])).await, Outcome::Failed);
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_bad_address_keeps_nobody_from_theirs() {
    let server = MailServer::start(Rules::default()).await;
    server.rules(|rules| _ = rules.recipients.insert("gone@shop.example".to_owned(), 550));
    let both = by(settings(&server, &["gone@shop.example", "ana@shop.example"]));
    assert_eq!(tell(&both, Channel::Email, &loss(1, &[])).await, Outcome::Accepted);
    assert_eq!(server.mails().len(), 1);
    let only = by(settings(&server, &["gone@shop.example"]));
    assert_eq!(tell(&only, Channel::Email, &loss(2, &[])).await, Outcome::Rejected);
}

#[tokio::test]
async fn who_has_it_is_not_told_again_with_the_next_try() {
    let server = MailServer::start(Rules::default()).await;
    server.rules(|rules| _ = rules.recipients.insert("full@shop.example".to_owned(), 452));
    let channels = by(settings(&server, &["ana@shop.example", "full@shop.example"]));
    let mut alert = loss(1, &[]);
    assert_eq!(tell_again(&channels, Channel::Email, &mut alert).await, Outcome::Failed);
    server.rules(|rules| rules.recipients.clear());
    assert_eq!(tell_again(&channels, Channel::Email, &mut alert).await, Outcome::Accepted);
    let to: Vec<_> = server.mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["ana@shop.example", "full@shop.example"]);
}

#[tokio::test]
async fn how_far_it_got_decides() {
    let mut server = MailServer::start(Rules::default()).await;
    let channels = by(settings(&server, &["ana@shop.example"]));
    for (after_data, expected) in [
        (AfterData::Refused(451), Outcome::Failed),
        (AfterData::Refused(554), Outcome::Rejected),
        (AfterData::TakenSilently, Outcome::Ambiguous),
    ] {
        server.rules(|rules| rules.after_data = after_data);
        assert_eq!(tell(&channels, Channel::Email, &loss(1, &[])).await, expected, "{after_data:?}");
    }
    server.go_down().await;
    assert_eq!(tell(&channels, Channel::Email, &loss(1, &[])).await, Outcome::Failed);
    assert!(channels.reach().await.remove(0).1.is_err());
}
