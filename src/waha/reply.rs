//! What WAHA's answer to a send says, in our words.
//!
//! WAHA has three shapes of error: Nest's `{message, error, statusCode}`, its own 422 `{error, session, status, expected}`, and for
//! anything unhandled a 500 `{statusCode, exception: {message, name, …}, request: …}` that echoes the whole request. Only a bounded
//! prefix is looked at, and nothing but the message is kept.

use smol_str::SmolStr;

use super::scan::{Pick, Scan};
use crate::domain::ledger::DETAIL_MAX;
use crate::domain::order::fact;
use crate::domain::outcome::{Cause, Said};

/// How much of an answer is looked at, in bytes: WAHA puts `exception.message` first.
pub const LOOK_MAX: usize = 64 * 1024;
/// Longest value taken out of an answer.
const VALUE_MAX: usize = 1024;

const ID: usize = 0;
const KEY_ID: usize = 1;
const ID_SERIALIZED: usize = 2;
const ID_ID: usize = 3;
const DATA_SERIALIZED: usize = 4;
const INFO_ID: usize = 5;
const EXCEPTION_MESSAGE: usize = 6;
const EXCEPTION_NAME: usize = 7;
const ERROR: usize = 8;
const MESSAGE: usize = 9;
const STATUS_CODE: usize = 10;
const ACK: usize = 11;
const SUCCESS: usize = 12;
const STATUS: usize = 13;
const EXCEPTION_TYPE: usize = 14;

const WANTED: &[Pick] = &[
    Pick::value_or_object("id", ID, &[Pick::value("_serialized", ID_SERIALIZED), Pick::value("id", ID_ID)]),
    Pick::object("key", &[Pick::value("id", KEY_ID)]),
    Pick::object(
        "_data",
        &[
            Pick::object("id", &[Pick::value("_serialized", DATA_SERIALIZED)]),
            Pick::object("Info", &[Pick::value("ID", INFO_ID)]),
        ],
    ),
    Pick::object(
        "exception",
        &[
            Pick::value("message", EXCEPTION_MESSAGE),
            Pick::value("name", EXCEPTION_NAME),
            Pick::value("type", EXCEPTION_TYPE),
        ],
    ),
    Pick::value("error", ERROR),
    Pick::value("message", MESSAGE),
    Pick::value("statusCode", STATUS_CODE),
    Pick::value("ack", ACK),
    Pick::value("success", SUCCESS),
    Pick::value("status", STATUS),
];

/// What an answer says.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Reading {
    /// What it says beyond its status.
    pub said: Option<Said>,
    /// The message of an error. May name a number.
    pub detail: Option<String>,
    /// WhatsApp's id of the message, in its bare form.
    pub message_id: Option<SmolStr>,
}

/// Reads the beginning of an answer.
pub fn read(status: u16, beginning: &[u8]) -> Reading {
    let mut scan = Scan::new(WANTED, VALUE_MAX);
    scan.feed(&beginning[..beginning.len().min(LOOK_MAX)]);
    // The last token of a cut prefix, or of a bare value at the very end, is closed.
    scan.feed(b" ");
    let success = (200..300).contains(&status);
    let said = if success { said_by_success(&scan) } else { blamed(&scan).map(Said::Blames) };
    let detail = if success && said.is_none() { None } else { message(&scan).and_then(detail) };
    let message_id = if success && said.is_none() { message_id(&scan) } else { None };
    Reading { said, detail, message_id }
}

/// A 2xx can say that it failed: an error's shape, `ack` -1, `success: false`.
fn said_by_success(scan: &Scan) -> Option<Said> {
    let code = scan.bare(STATUS_CODE).and_then(|code| code.parse::<u16>().ok());
    let failed = scan.text(EXCEPTION_MESSAGE).is_some()
        || scan.text(ERROR).is_some_and(|error| !error.is_empty())
        || code.is_some_and(|code| code >= 400)
        || scan.bare(ACK) == Some("-1")
        || scan.bare(SUCCESS) == Some("false")
        || scan.text(STATUS).is_some_and(|status| status.eq_ignore_ascii_case("error"));
    failed.then(|| blamed(scan).map_or(Said::Failed, Said::Blames))
}

/// Nest puts the sentence into `message` and the status' name into `error`; WAHA's 422 has only `error`.
fn message(scan: &Scan) -> Option<&str> {
    scan.text(EXCEPTION_MESSAGE).or_else(|| scan.text(MESSAGE)).or_else(|| scan.text(ERROR))
}

/// Whom the sentence blames, where it is one we know (WAHA-FACTS 4).
fn blamed(scan: &Scan) -> Option<Cause> {
    let said = message(scan)?;
    let has = |part: &str| said.contains(part);
    let name = scan.text(EXCEPTION_NAME).unwrap_or_default();
    Some(match () {
        () if has("Session status is not as expected") => Cause::SessionNotWorking,
        () if said.starts_with("Session \"") && has("does not exist") => Cause::SessionMissing,
        () if has("server returned error 463") || has("server returned error 475") => {
            Cause::ContactRestricted
        }
        () if has("server returned error 400") => Cause::RefusedByWhatsapp,
        () if has("no LID found for") || has("No LID for user") => Cause::NumberNotOnWhatsapp,
        () if has("is not on WhatsApp") || has("number does not exist") => Cause::NumberNotOnWhatsapp,
        () if has("available only in Plus") || has("not implemented") => Cause::NotImplemented,
        () if name == "PayloadTooLargeError" || scan.text(EXCEPTION_TYPE) == Some("entity.too.large") => {
            Cause::TooLarge
        }
        () if name == "TypeError" => Cause::BadRequest,
        () => return None,
    })
}

fn detail(text: &str) -> Option<String> {
    let text = fact(text)?;
    let end = (0..=DETAIL_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Some(text[..end].to_owned())
}

/// The bare id: engines wrap it as `true_<chat>_<ID>[_<participant>]`.
fn message_id(scan: &Scan) -> Option<SmolStr> {
    let found = [ID, ID_SERIALIZED, ID_ID, KEY_ID, DATA_SERIALIZED, INFO_ID]
        .into_iter()
        .find_map(|index| scan.text(index))?;
    Some(SmolStr::new(bare_message_id(found)))
}

/// The part of a message id that all engines share (WAHA-FACTS 1).
pub fn bare_message_id(id: &str) -> &str {
    match id.split_once('_') {
        Some(("true" | "false", rest)) => rest.split('_').nth(1).unwrap_or(id),
        Some(_) | None => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{Outcome, Reply, judge};

    fn outcome(status: u16, body: &str) -> (Outcome, Option<Cause>) {
        judge(Reply::Answer { status, said: read(status, body.as_bytes()).said })
    }

    #[test]
    fn answers_of_a_real_waha() {
        let rows = [
            (
                201,
                r#"{"key":{"remoteJid":"1@s.whatsapp.net","fromMe":true,"id":"3EB0DE"},"message":{"x":1},"status":"PENDING"}"#,
                Outcome::Accepted,
                None,
            ),
            (201, "", Outcome::Accepted, None),
            (201, r#"{"id":"true_1@c.us_3EB0","ack":-1}"#, Outcome::Ambiguous, Some(Cause::SaidFailed)),
            (
                200,
                r#"{"statusCode":500,"exception":{"message":"2 UNKNOWN: server returned error 463"}}"#,
                Outcome::Rejected,
                Some(Cause::ContactRestricted),
            ),
            (
                422,
                r#"{"error":"Session \"nosuch\" does not exist","session":"nosuch"}"#,
                Outcome::Failed,
                Some(Cause::SessionMissing),
            ),
            (
                422,
                r#"{"error":"Session status is not as expected. Try again later or restart the session","session":"s1","status":"STOPPED","expected":["WORKING"]}"#,
                Outcome::Failed,
                Some(Cause::SessionNotWorking),
            ),
            (422, r#"{"error":"Session name is required"}"#, Outcome::Rejected, Some(Cause::BadRequest)),
            (
                422,
                r#"{"message":"The feature is available only in Plus version for 'NOWEB' engine.","error":"Unprocessable Entity","statusCode":422}"#,
                Outcome::Rejected,
                Some(Cause::NotImplemented),
            ),
            (
                500,
                r#"{"statusCode":500,"timestamp":"x","exception":{"message":"Connection Closed","data":null,"isBoom":true,"output":{},"name":"Error"}}"#,
                Outcome::Ambiguous,
                Some(Cause::ServerError),
            ),
            (
                500,
                r#"{"statusCode":500,"exception":{"message":"Cannot read properties of undefined (reading 'session')","name":"TypeError"}}"#,
                Outcome::Rejected,
                Some(Cause::BadRequest),
            ),
            (
                500,
                r#"{"statusCode":500,"exception":{"message":"request entity too large","name":"PayloadTooLargeError","type":"entity.too.large"}}"#,
                Outcome::Rejected,
                Some(Cause::TooLarge),
            ),
            (
                500,
                r#"{"statusCode":500,"exception":{"code":2,"details":"x","message":"2 UNKNOWN: server returned error 475"}}"#,
                Outcome::Rejected,
                Some(Cause::ContactRestricted),
            ),
            (
                500,
                r#"{"statusCode":500,"exception":{"message":"2 UNKNOWN: no LID found for 1@s.whatsapp.net from server"}}"#,
                Outcome::Rejected,
                Some(Cause::NumberNotOnWhatsapp),
            ),
            (500, "gateway <html>", Outcome::Ambiguous, Some(Cause::ServerError)),
            (
                401,
                r#"{"message":"Unauthorized","statusCode":401}"#,
                Outcome::Failed,
                Some(Cause::Unauthorized),
            ),
            (
                400,
                r#"{"message":"Expected property name or '}' in JSON","error":"Bad Request","statusCode":400}"#,
                Outcome::Rejected,
                Some(Cause::BadRequest),
            ),
        ];
        for (status, body, expected, cause) in rows {
            assert_eq!(outcome(status, body), (expected, cause), "{status} {body}");
        }
    }

    #[test]
    fn the_error_is_found_before_the_echo_of_a_large_request() {
        let body = format!(
            r#"{{"statusCode":500,"exception":{{"message":"Timed Out","stack":"s"}},"request":{{"body":"{}"}}}}"#,
            "x".repeat(200_000)
        );
        let reading = read(500, body.as_bytes());
        assert_eq!(reading.detail.as_deref(), Some("Timed Out"));
    }

    #[test]
    fn ids_of_all_engines() {
        let rows = [
            (r#"{"key":{"id":"3EB0A"}}"#, "3EB0A"),
            (r#"{"id":"true_1@c.us_3EB0B","_data":null}"#, "3EB0B"),
            (r#"{"id":"true_1@g.us_3EB0C_2@c.us"}"#, "3EB0C"),
            (
                r#"{"_data":{"id":{"_serialized":"true_1@c.us_X"}},"id":{"fromMe":true,"id":"3EB0D","_serialized":"true_1@c.us_3EB0D"}}"#,
                "3EB0D",
            ),
            (r#"{"_data":{"Info":{"ID":"3EB0E"}}}"#, "3EB0E"),
        ];
        for (body, id) in rows {
            assert_eq!(read(201, body.as_bytes()).message_id.as_deref(), Some(id), "{body}");
        }
        assert_eq!(read(201, b"[]").message_id, None);
        assert_eq!(bare_message_id("false_1@c.us_Z"), "Z");
        assert_eq!(bare_message_id("odd_id"), "odd_id");
    }
}
