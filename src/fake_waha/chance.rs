//! Ids as WAHA and its engines make them, and the current time. The look-alike's only source of chance.

use ring::rand::{SecureRandom, SystemRandom};

/// Milliseconds since 1970, WAHA's usual time.
pub(super) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Random bytes; zeros if the system has none, which only makes ids alike.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}

/// `N` random bytes in hex.
fn hex<const N: usize>() -> String {
    random::<N>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A WhatsApp message id of the form NOWEB makes: `3EB0` and 18 hex digits.
pub(super) fn message_id() -> String {
    format!("3EB0{}", hex::<9>().to_uppercase())
}

/// A ULID in lower case, WAHA's form of ids for events and requests.
pub(super) fn ulid() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let random = u128::from_be_bytes(random::<16>()) & ((1 << 80) - 1);
    let value = ((u128::from(now_ms().unsigned_abs()) & ((1 << 48) - 1)) << 80) | random;
    (0..26).rev().map(|place| char::from(ALPHABET[((value >> (5 * place)) & 31) as usize])).collect()
}

/// A `traceparent` header: the caller's trace continued, or a new one.
pub(super) fn traceparent(incoming: Option<&str>) -> String {
    let trace = incoming
        .and_then(|value| value.split('-').nth(1))
        .filter(|trace| trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit()));
    format!("00-{}-{}-01", trace.map_or_else(hex::<16>, str::to_owned), hex::<8>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_forms_of_the_real_ones() {
        let id = message_id();
        assert!(id.starts_with("3EB0") && id.len() == 22, "{id}");
        assert!(id.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)), "{id}");
        assert_ne!(id, message_id());
        assert_eq!(ulid().len(), 26);
        assert!(ulid().as_str() > "01h000000000000000000000000", "time comes first");
    }

    #[test]
    fn a_trace_is_continued_and_rubbish_is_not() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let incoming = format!("00-{trace}-b7ad6b7169203331-01");
        assert!(traceparent(Some(&incoming)).starts_with(&format!("00-{trace}-")));
        assert!(!traceparent(Some("00-rubbish-1-01")).contains("rubbish"));
        assert_eq!(traceparent(None).len(), 55);
    }
}
