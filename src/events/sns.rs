//! Messages of Amazon SNS as it posts them to an address, and the text that their signature is over.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use url::Url;

/// What SNS posts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SnsMessage {
    /// What it is for.
    #[serde(rename = "Type")]
    pub purpose: Purpose,
    /// The topic, by ARN.
    pub topic_arn: String,
    /// Of a notification: what was published.
    pub message: String,
    message_id: String,
    subject: Option<String>,
    timestamp: String,
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Purpose {
    /// Something was published.
    Notification,
    /// The topic asks whether it may send here.
    SubscriptionConfirmation,
    /// The topic will send nothing more.
    UnsubscribeConfirmation,
}

/// How a message is signed, with RSA and PKCS #1 v1.5 padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// `SignatureVersion` 1.
    Sha1,
    /// `SignatureVersion` 2.
    Sha256,
}

impl SnsMessage {
    /// Reads the body of a post.
    pub fn read(body: &str) -> Result<Self, String> {
        serde_json::from_str(body).map_err(|error| format!("this is no message of SNS: {error}"))
    }

    /// How it is signed, and the signature.
    pub fn signature(&self) -> Result<(Digest, Vec<u8>), String> {
        let digest = match self.signature_version.as_str() {
            "1" => Digest::Sha1,
            "2" => Digest::Sha256,
            other => return Err(format!("signatures of version {other:?} are not known")),
        };
        let signature = BASE64_STANDARD.decode(&self.signature);
        signature.map(|signature| (digest, signature)).map_err(|_| "the signature is not base64".to_owned())
    }

    /// The text that is signed: some of the fields, in the order of their names.
    #[must_use]
    pub fn signed_text(&self) -> String {
        let is_notification = self.purpose == Purpose::Notification;
        let purpose = match self.purpose {
            Purpose::Notification => "Notification",
            Purpose::SubscriptionConfirmation => "SubscriptionConfirmation",
            Purpose::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        };
        let of_notifications = |value| if is_notification { value } else { None };
        let of_others = |value| if is_notification { None } else { value };
        let fields = [
            ("Message", Some(self.message.as_str())),
            ("MessageId", Some(self.message_id.as_str())),
            ("Subject", of_notifications(self.subject.as_deref())),
            ("SubscribeURL", of_others(self.subscribe_url.as_deref())),
            ("Timestamp", Some(self.timestamp.as_str())),
            ("Token", of_others(self.token.as_deref())),
            ("TopicArn", Some(self.topic_arn.as_str())),
            ("Type", Some(purpose)),
        ];
        fields.into_iter().fold(String::new(), |mut text, (name, value)| {
            if let Some(value) = value {
                let _infallible = writeln!(text, "{name}\n{value}");
            }
            text
        })
    }

    /// Where the certificate is that it is signed with.
    pub fn certificate_url(&self) -> Result<Url, String> {
        let url = of_sns(&self.signing_cert_url)?;
        // What else that host answers, to calls of its API above all, may hold what any AWS account wants it to.
        let name =
            url.path().strip_prefix("/SimpleNotificationService-").and_then(|name| name.strip_suffix(".pem"));
        let is_certificate = name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if !is_certificate || url.query().is_some() {
            return Err("the certificate is not where SNS keeps its own".to_owned());
        }
        Ok(url)
    }

    /// What is to be called so that the topic may send here.
    pub fn confirmation_url(&self) -> Result<Url, String> {
        of_sns(self.subscribe_url.as_deref().unwrap_or_default())
    }
}

/// A URL, if it leads to SNS itself: `https://sns.<region>.amazonaws.com/…`.
fn of_sns(url: &str) -> Result<Url, String> {
    let refused = || "a URL of the message does not lead to SNS".to_owned();
    let url = Url::parse(url).map_err(|_| refused())?;
    let host = url.host_str().unwrap_or_default();
    let region = host.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com"));
    let is_region = |region: &str| {
        !region.is_empty()
            && region.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    };
    let is_plain = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    if url.scheme() == "https" && is_plain && region.is_some_and(is_region) {
        return Ok(url);
    }
    Err(refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sns_itself_is_called() {
        for (url, is_sns) in [
            ("https://sns.ap-southeast-2.amazonaws.com/SimpleNotificationService-1.pem", true),
            ("https://sns.us-gov-west-1.amazonaws.com/x.pem", true),
            ("http://sns.ap-southeast-2.amazonaws.com/x.pem", false),
            ("https://sns.ap-southeast-2.amazonaws.com:8443/x.pem", false),
            ("https://a@sns.ap-southeast-2.amazonaws.com/x.pem", false),
            ("https://sns.amazonaws.com/x.pem", false),
            ("https://sns.evil.s3.amazonaws.com/x.pem", false),
            ("https://evil.sns.ap-southeast-2.amazonaws.com/x.pem", false),
            ("https://sns.ap-southeast-2.amazonaws.com.evil.example/x.pem", false),
            ("https://evil.example/sns.ap-southeast-2.amazonaws.com/x.pem", false),
            ("https://s3.ap-southeast-2.amazonaws.com/x.pem", false),
            ("file:///x.pem", false),
            ("", false),
        ] {
            assert_eq!(of_sns(url).is_ok(), is_sns, "{url}");
        }
    }
}
