//! E-mail over SMTP. One connection for all recipients, one mail each, so that a bad address keeps nobody from theirs.
//!
//! A mail has the alert's id for its own, so that a second copy is known for one, and refers to its incident, so that all mails of one
//! incident are one thread.

use std::time::{Duration, SystemTime};

use lettre::address::Address;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::Wording;
use super::outside::{ClientError, root};
use super::recipients::Recipients;
use super::told::{Told, Untold, sum_up};
use crate::clock::wall;
use crate::domain::alert::Alert;
use crate::domain::outcome::Outcome;
use crate::words::{Eyes, worded};

/// Longest wait for a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the connection is kept from others' eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS after a greeting in the clear; without it nothing is sent.
    Starttls,
    /// Not at all.
    None,
}

/// What e-mail needs.
pub struct EmailSettings {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others' eyes.
    pub security: MailSecurity,
    /// Name and password, where it wants them.
    pub login: Option<(String, String)>,
    /// Further authorities to trust, as PEM.
    pub ca: Option<Vec<u8>>,
    /// The sender.
    pub from: Mailbox,
    /// The recipients.
    pub to: Vec<Mailbox>,
}

/// E-mail.
pub(super) struct Email {
    settings: EmailSettings,
    tls: Option<TlsParameters>,
    wording: Wording,
}

/// Nobody needs to be told that somebody is on holiday.
#[derive(Clone)]
struct AutoSubmitted(String);

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

impl Email {
    pub(super) fn new(settings: EmailSettings, wording: &Wording) -> Result<Self, ClientError> {
        let failed = |error: SmtpError| ClientError(root(&error));
        let tls = if settings.security == MailSecurity::None {
            None
        } else {
            let mut tls = TlsParameters::builder(settings.host.clone());
            if let Some(ca) = &settings.ca {
                tls = tls.add_root_certificate(Certificate::from_pem(ca).map_err(failed)?);
            }
            Some(tls.build().map_err(failed)?)
        };
        Ok(Self { settings, tls, wording: wording.clone() })
    }

    pub(super) async fn tell(&self, alert: &Alert, recipients: &Recipients<'_>) -> Told {
        let mail = self.mail(alert)?;
        let open = |to: &&Mailbox| !recipients.has(to.email.as_ref());
        let open: Vec<_> = self.settings.to.iter().filter(open).collect();
        let mut connection = self.connect().await.map_err(Untold::this_time)?;
        let mut each = vec![Ok(()); self.settings.to.len() - open.len()];
        for to in open {
            let told = self.send(&mut connection, &to.email, &mail).await;
            if told.is_ok() {
                recipients.note(to.email.as_ref());
            }
            let broken = told.as_ref().is_err_and(|untold| untold.outcome != Outcome::Rejected);
            each.push(told);
            // The server is in trouble: the others wait for the next try as well.
            if broken {
                break;
            }
            if each.last().is_some_and(Result::is_err) {
                let _ = timeout(PATIENCE, connection.command(Rset)).await;
            }
        }
        let _ = timeout(PATIENCE, connection.quit()).await;
        sum_up(each)
    }

    /// The mail, the same at every try.
    fn mail(&self, alert: &Alert) -> Result<Vec<u8>, Untold> {
        let Wording { language, links } = &self.wording;
        let worded = worded(alert, Eyes::Private, *language, links);
        let domain = self.settings.from.email.domain();
        let millis = u64::try_from(wall::outside(alert.at).millis()).unwrap_or(0);
        let mut mail = lettre::Message::builder()
            .from(self.settings.from.clone())
            .subject(worded.headline.clone())
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
            .message_id(Some(format!("<{}@{domain}>", alert.id)))
            .header(AutoSubmitted("auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.settings.to {
            mail = mail.to(to.clone());
        }
        if let Some(incident) = alert.incident {
            let thread = format!("<{incident}@{domain}>");
            mail = mail.in_reply_to(thread.clone()).references(thread);
        }
        let mail = mail.body(worded.text()).map_err(|error| Untold::for_good(root(&error)))?;
        Ok(mail.formatted())
    }

    /// A connection over which mails can be sent.
    async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        let EmailSettings { host, port, security, login, .. } = &self.settings;
        let at_once = self.tls.clone().filter(|_| *security == MailSecurity::Tls);
        let us = ClientId::default();
        let opening =
            AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), Some(PATIENCE), &us, at_once, None);
        let mut connection = in_time(opening).await?;
        if let Some(tls) = self.tls.clone().filter(|_| *security == MailSecurity::Starttls) {
            in_time(connection.starttls(tls, &us)).await?;
        }
        if let Some((user, password)) = login {
            let credentials = Credentials::new(user.clone(), password.clone());
            in_time(connection.auth(DEFAULT_MECHANISMS, &credentials))
                .await
                .map_err(|why| format!("the login is refused: {why}"))?;
        }
        Ok(connection)
    }

    async fn send(&self, connection: &mut AsyncSmtpConnection, to: &Address, mail: &[u8]) -> Told {
        let from = Some(self.settings.from.email.clone());
        step(connection.command(Mail::new(from, Vec::new()))).await?;
        step(connection.command(Rcpt::new(to.clone(), Vec::new()))).await?;
        step(connection.command(Data)).await?;
        // From here on it may have been taken, unless the answer says otherwise.
        match timeout(PATIENCE, connection.message(mail)).await {
            Ok(Ok(_taken)) => Ok(()),
            Ok(Err(error)) if error.status().is_some() => Err(refused(&error)),
            Ok(Err(error)) => Err(Untold::unknown(root(&error))),
            Err(_late) => Err(Untold::unknown("no answer after the mail was sent")),
        }
    }

    pub(super) async fn reach(&self) -> Result<String, String> {
        let mut connection = self.connect().await?;
        in_time(connection.command(Noop)).await?;
        let _ = timeout(PATIENCE, connection.quit()).await;
        let secured = if self.tls.is_some() { "over TLS" } else { "in the clear" };
        let login = if self.settings.login.is_some() { ", the login is taken" } else { "" };
        Ok(format!("the mail server answers {secured}{login}; {} recipients", self.settings.to.len()))
    }
}

async fn in_time<T>(step: impl Future<Output = Result<T, SmtpError>>) -> Result<T, String> {
    match timeout(PATIENCE, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(why(&error)),
        Err(_late) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// A step before anything was sent: it failed, or was refused for good.
async fn step<T>(step: impl Future<Output = Result<T, SmtpError>>) -> Result<T, Untold> {
    match timeout(PATIENCE, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(refused(&error)),
        Err(_late) => Err(Untold::this_time(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

fn refused(error: &SmtpError) -> Untold {
    if error.is_permanent() { Untold::for_good(why(error)) } else { Untold::this_time(why(error)) }
}

/// Why, without what the server says: that may quote addresses.
fn why(error: &SmtpError) -> String {
    match error.status() {
        Some(code) => format!("the mail server answers {code}"),
        None => root(error),
    }
}

#[cfg(test)]
mod tests;
