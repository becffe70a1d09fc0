//! Where people are asked whether a package may go.
//!
//! # Contract
//! - What is posted twice is seen twice: a holder that died may have asked before.
//! - No error names what only those may know who were asked: tokens, and addresses for answers.

use std::fmt;

use async_trait::async_trait;

use super::error::Result;

/// A question to people: may this package go there?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The package.
    pub package_id: String,
    /// Its name.
    pub package_name: String,
    /// Where it is to go.
    pub destination: String,
    /// Its files, and their bytes.
    pub files: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Where its report can be read, if anywhere.
    pub report: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// It is on its way; who has let it go.
    Pushing(String),
    /// It has arrived.
    Completed,
    /// It has not; the push.
    Failed(String),
}

/// What came in as an answer, as it came.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// When it was sent, as its sender says (`X-Slack-Request-Timestamp`).
    pub timestamp: &'a str,
    /// What shows who has sent it (`X-Slack-Signature`).
    pub signature: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Somebody who may has let a package go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The package.
    pub package_id: String,
    /// Who has.
    pub who: String,
}

/// A place where people read and answer.
#[async_trait]
pub trait Notices: Send + Sync + fmt::Debug {
    /// Asks; the name by which it can be added to.
    async fn ask(&self, question: &Question) -> Result<String>;

    /// Says below a question what became of it. `asked`: its name.
    async fn say(&self, asked: &str, question: &Question, became: &Became) -> Result<()>;

    /// Hears an answer; `None` where it lets nothing go: who may not was told so. `Unauthorized` where it did not
    /// come from there, or is older than five minutes.
    async fn hear(&self, sent: &Sent<'_>) -> Result<Option<Answer>>;
}
