//! The signature of Standard Webhooks, which proves to a receiver that a call is ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What signs: the key both sides know.
pub struct Signer(Vec<u8>);

/// The secret says that it is base64, and is not.
#[derive(Debug, thiserror::Error)]
#[error("a secret that begins with whsec_ goes on in base64")]
pub struct NoBase64;

impl Signer {
    /// A secret that begins with `whsec_` is base64, any other is taken as it is.
    ///
    /// # Errors
    /// Where what follows `whsec_` is no base64.
    pub fn new(secret: &str) -> Result<Self, NoBase64> {
        let key = match secret.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| NoBase64)?,
            None => secret.as_bytes().to_vec(),
        };
        Ok(Self(key))
    }

    /// The value of `webhook-signature` for a message with this id, sent at this second.
    pub fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0);
        let mut mac = mac.unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_no_base64_is_told() {
        assert!(Signer::new("whsec_***").is_err());
        assert_eq!(Signer::new("whsec_aGk=").unwrap().0, b"hi");
        assert_eq!(Signer::new("plain words here").unwrap().0, b"plain words here");
    }

    /// The example of Standard Webhooks' own documentation.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let signer = Signer::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
