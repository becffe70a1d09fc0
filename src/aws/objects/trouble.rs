//! What S3 means by a refusal: its words, and what HEADs and clocks leave unsaid.

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use jiff::{SignedDuration, Timestamp};

use super::looking::{http_date, instant};
use crate::{
    aws::error::classify,
    ports::{
        Class, Error,
        clock::{Clock as _, SystemClock},
    },
};

const BUCKET_REGION: &str = "x-amz-bucket-region";
/// What S3 says of a request that was made by another clock than its own. It allows for 15 minutes.
const SKEWED: &str = "RequestTimeTooSkewed";
/// Clocks that are further apart are told to be.
const APART: SignedDuration = SignedDuration::from_mins(5);
/// Characters of S3's words that are passed on.
const MOST_WORDS: usize = 300;
/// Calls that change nothing.
const READS: [&str; 3] = ["Head", "Get", "List"];

/// What an answer that is none says of the call.
pub(super) enum Answer {
    /// The bucket is in that region.
    Elsewhere { region: String, error: Error },
    /// Nothing of what was asked, nor was anything done: it is asked again at once, and the error stands only
    /// if that does not help.
    Odd(Error),
    /// That.
    Final(Error),
}

/// What the answer to a call says that failed.
pub(super) fn answer_of<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Answer
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let region = region_told(&error);
    let error = told(operation, error);
    let is_unread = is_unread(&error) && READS.iter().any(|verb| operation.starts_with(verb));
    match region {
        Some(region) => Answer::Elsewhere { region, error },
        // A client learns from such an answer how far its clock is off.
        None if error.code.as_deref() == Some(SKEWED) => Answer::Odd(error),
        None if is_unread || matches!(error.status, Some(301 | 307)) => Answer::Odd(error),
        None => Answer::Final(error),
    }
}

/// The error of a call that was asked again, and again, and never answered. What cannot be understood is not
/// understood by and by.
pub(super) fn given_up(error: Error) -> Error {
    let class = if is_unread(&error) { Class::Invalid } else { error.class };
    Error { class, ..error }
}

/// Whether there was a success that could not be read.
fn is_unread(error: &Error) -> bool {
    error.code.as_deref() == Some(UNREAD)
}

/// The code of answers that cannot be read.
const UNREAD: &str = "UnreadableAnswer";

/// The region of a bucket that was asked in the wrong one.
fn region_told<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let answer = error.raw_response()?;
    let lost = matches!(answer.status().as_u16(), 301 | 307 | 400);
    answer.headers().get(BUCKET_REGION).filter(|_| lost).map(str::to_owned)
}

/// What the error means. The answer to a HEAD holds no code, and its status stands for it.
pub(super) fn told<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let refusal = error.as_service_error();
    let has_code = refusal.is_none_or(|error| error.code().is_some());
    let words = refusal.and_then(ProvideErrorMetadata::message).map(cut);
    let apart = error.raw_response().and_then(apart);
    let mut error = classify(operation, error);
    let named = match error.status {
        Some(200..=299) => UNREAD,
        Some(301 | 307) => "PermanentRedirect",
        Some(400) => "BadRequest",
        Some(403) if apart.is_some() => SKEWED,
        Some(403) => "AccessDenied",
        Some(404) => "NotFound",
        Some(412) => "PreconditionFailed",
        Some(503) => "SlowDown",
        _ => "",
    };
    if !has_code && !named.is_empty() {
        error.code = Some(named.to_owned());
        named.clone_into(&mut error.message);
        if named == UNREAD {
            "the answer cannot be understood".clone_into(&mut error.message);
        }
    }
    if error.code.as_deref() == Some(SKEWED) {
        error.class = Class::Transient;
        let by = apart.map_or_else(String::new, |apart| format!(", by {} minutes", apart.as_mins().abs()));
        error.message = format!("{SKEWED}: the clock of this machine and that of S3 differ{by}");
    } else if error.class == Class::Invalid
        && has_code
        && let Some(words) = words.filter(|words| !words.is_empty())
    {
        // What S3 does not take it explains, and its words name what was sent and no secret.
        error.message = format!("{}: {words}", error.message);
    }
    error
}

fn cut(words: &str) -> String {
    words.chars().take(MOST_WORDS).collect()
}

/// How far our clock is from that of the server that answered, if that is far.
fn apart(answer: &HttpResponse) -> Option<SignedDuration> {
    let theirs: Timestamp = answer.headers().get("date").and_then(http_date).as_ref().and_then(instant)?;
    let apart = theirs.duration_since(SystemClock::new().now());
    (apart.abs() > APART).then_some(apart)
}
