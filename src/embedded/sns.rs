//! Messages of Amazon SNS that are posted to us, for labs whose ICAv2 tells of its jobs through a topic.
//!
//! A message is believed if it is of a topic that the settings name, and signed with the certificate
//! that SNS itself serves for it. A topic that asks whether it may send here is told that it may.

#[cfg(feature = "aws")]
mod signature;
#[cfg(not(feature = "aws"))]
#[path = "sns/no_signature.rs"]
mod signature;

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use reqwest::{Client, Url, redirect::Policy};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use crate::{
    events::sns::{Purpose, SnsMessage},
    signals,
};

/// How long SNS may take to serve a certificate or take a confirmation.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of what it answers.
const LONGEST: usize = 64 * 1024;
/// Certificates that are kept; SNS changes its own about once a year.
const CERTIFICATES: usize = 8;

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unheard {
    /// It cannot be understood.
    Wrong(String),
    /// It is of no topic of ours, or not signed by SNS.
    Untrusted(String),
    /// SNS could not be asked now.
    Later(String),
}

/// Calls SNS.
#[async_trait]
pub trait Fetch: Send + Sync + std::fmt::Debug {
    /// What is at a URL that leads to SNS.
    async fn fetch(&self, url: &Url) -> Result<Vec<u8>, String>;
}

/// Takes the messages of some topics.
#[derive(Debug)]
pub struct Inbox {
    topics: Vec<String>,
    fetch: Box<dyn Fetch>,
    certificates: Mutex<VecDeque<(Url, CertificateDer<'static>)>>,
}

impl Inbox {
    /// For these topics, by ARN.
    pub fn new(topics: Vec<String>, fetch: Box<dyn Fetch>) -> Self {
        Self { topics, fetch, certificates: Mutex::default() }
    }

    /// What was published, if the message says so; a topic that asks is answered.
    pub async fn open(&self, body: &str) -> Result<Option<String>, Unheard> {
        let message = SnsMessage::read(body).map_err(Unheard::Wrong)?;
        if !self.topics.contains(&message.topic_arn) {
            let why = format!("the topic `{}` is not allowed (admin.sns_topics)", message.topic_arn);
            return Err(Unheard::Untrusted(why));
        }
        self.verify(&message).await?;
        match message.purpose {
            Purpose::Notification => Ok(Some(message.message)),
            Purpose::SubscriptionConfirmation => {
                let url = message.confirmation_url().map_err(Unheard::Untrusted)?;
                self.fetch.fetch(&url).await.map_err(Unheard::Later)?;
                signals::queue::sns_subscription(&message.topic_arn, "confirmed");
                Ok(None)
            }
            Purpose::UnsubscribeConfirmation => {
                signals::queue::sns_subscription(&message.topic_arn, "ended");
                Ok(None)
            }
        }
    }

    async fn verify(&self, message: &SnsMessage) -> Result<(), Unheard> {
        let (digest, signature) = message.signature().map_err(Unheard::Untrusted)?;
        let certificate = self.certificate(message.certificate_url().map_err(Unheard::Untrusted)?).await?;
        let is_signed =
            signature::is_signed(digest, message.signed_text().as_bytes(), &signature, &certificate);
        is_signed
            .then_some(())
            .ok_or_else(|| Unheard::Untrusted("the signature is not that of SNS".to_owned()))
    }

    async fn certificate(&self, url: Url) -> Result<CertificateDer<'static>, Unheard> {
        let kept = |(at, kept): &(Url, CertificateDer<'static>)| (*at == url).then(|| kept.clone());
        let found = self.certificates.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(kept);
        if let Some(found) = found {
            return Ok(found);
        }
        let pem = self.fetch.fetch(&url).await.map_err(Unheard::Later)?;
        let certificate = CertificateDer::from_pem_slice(&pem)
            .map_err(|_| Unheard::Later("SNS serves something else than a certificate".to_owned()))?;
        let mut certificates = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        certificates.truncate(CERTIFICATES - 1);
        certificates.push_front((url, certificate.clone()));
        Ok(certificate)
    }
}

/// Calls SNS over the network.
#[derive(Debug)]
pub struct OverTheNetwork(Client);

impl OverTheNetwork {
    /// A client that ends by itself and follows no redirect.
    pub fn new() -> Result<Self, reqwest::Error> {
        Client::builder().timeout(PATIENCE).redirect(Policy::none()).https_only(true).build().map(Self)
    }
}

#[async_trait]
impl Fetch for OverTheNetwork {
    async fn fetch(&self, url: &Url) -> Result<Vec<u8>, String> {
        let unanswered = |error: reqwest::Error| format!("SNS does not answer: {}", error.without_url());
        let mut answer = self.0.get(url.clone()).send().await.map_err(unanswered)?;
        if !answer.status().is_success() {
            return Err(format!("SNS answers {}", answer.status()));
        }
        let mut content = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unanswered)? {
            if content.len() + chunk.len() > LONGEST {
                return Err("SNS answers too much".to_owned());
            }
            content.extend_from_slice(&chunk);
        }
        Ok(content)
    }
}

#[cfg(test)]
#[cfg(feature = "aws")]
mod tests;
