//! The API of sharing, over HTTP.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::{
    admin::words::text,
    app::Misconfigured,
    cli::{client::innermost, exit::Ended},
};

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long one call may take: a script is made before its address is told.
const PATIENCE: Duration = Duration::from_mins(2);
/// Rows that one call brings.
const PAGE: usize = 1000;
/// Letters of an answer that is not of the API.
const LONGEST_QUOTE: usize = 300;

/// A token, or why there is none.
#[derive(Debug)]
pub(super) enum Token {
    /// This one.
    Known(SecretString),
    /// None is to be shown.
    None,
    /// None could be found, and why.
    Unknown(String),
}

/// The API of one service.
#[derive(Debug)]
pub(super) struct Api {
    base: Url,
    http: Client,
    /// Why no token is shown, as far as that is known.
    no_token: Option<String>,
}

impl Api {
    /// The one at that address, which is shown that token.
    pub(super) fn new(base: Url, token: Token) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        if let Token::Known(token) = &token {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret().trim()))
                .context("the token cannot be sent in a header")?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let http = Client::builder().connect_timeout(CONNECTING).timeout(PATIENCE).default_headers(headers);
        let http = http.build().context("no HTTP client")?;
        let no_token = match token {
            Token::Known(_) => None,
            Token::None => Some(String::new()),
            Token::Unknown(why) => Some(why),
        };
        Ok(Self { base, http, no_token })
    }

    pub(super) async fn get(&self, path: &[&str]) -> anyhow::Result<Value> {
        self.answer(self.http.get(self.at(path)?)).await
    }

    pub(super) async fn post(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.answer(self.http.post(self.at(path)?).json(body)).await
    }

    pub(super) async fn patch(&self, path: &[&str]) -> anyhow::Result<Value> {
        self.answer(self.http.patch(self.at(path)?)).await
    }

    pub(super) async fn delete(&self, path: &[&str]) -> anyhow::Result<Value> {
        self.answer(self.http.delete(self.at(path)?)).await
    }

    /// A list, page by page.
    pub(super) fn pages<'a>(
        &'a self,
        path: &'a [&'a str],
        query: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Pages<'a> {
        let query = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Pages { api: self, path, query, page: 1, seen: 0, has_ended: false }
    }

    async fn answer(&self, call: RequestBuilder) -> anyhow::Result<Value> {
        let answer = call.send().await.map_err(|error| {
            let why = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(&error) };
            let base = self.base.as_str().trim_end_matches('/');
            let hint = "see --endpoint and COPY_MANAGER_SHARE_ENDPOINT";
            Ended::Unreachable(format!("cannot reach {base} ({why}): {hint}"))
        })?;
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        let body = answer.text().await.map_err(|error| {
            Ended::Unreachable(format!("the answer of {} was cut off ({})", self.base, innermost(&error)))
        })?;
        serde_json::from_str(&body)
            .with_context(|| format!("{} is not the API of sharing: {}", self.base, one_line(&body)))
    }

    /// What an answer tells that is none.
    async fn refused(&self, answer: Response) -> anyhow::Error {
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        let told =
            details(&body).unwrap_or_else(|| format!("{status} {}", one_line(&body)).trim().to_owned());
        match (status, &self.no_token) {
            (StatusCode::UNAUTHORIZED, Some(why)) => {
                let hint = "set --token or COPY_MANAGER_SHARE_TOKEN";
                let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                Misconfigured(format!("{told}: {hint}{why}").into()).into()
            }
            (StatusCode::UNAUTHORIZED, None) => Misconfigured(told.into()).into(),
            (
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT,
                _,
            ) => Ended::Unreachable(told).into(),
            (status, _) if status.is_client_error() => Ended::Refused(told).into(),
            (status, _) => anyhow::anyhow!("the service answered {status}: {told}"),
        }
    }

    fn at(&self, path: &[&str]) -> anyhow::Result<Url> {
        if let Some(odd) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(Ended::Refused(format!("`{odd}` is not an id")).into());
        }
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(["api", "v1"]).extend(path),
            Err(()) => bail!("`{}` is not an HTTP address", self.base),
        };
        Ok(url)
    }
}

/// The pages of a list.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    api: &'a Api,
    path: &'a [&'a str],
    query: Vec<(&'a str, &'a str)>,
    page: usize,
    seen: usize,
    has_ended: bool,
}

#[derive(Debug, Deserialize)]
struct Page {
    results: Vec<Value>,
    pagination: Pagination,
}

#[derive(Debug, Deserialize)]
struct Pagination {
    count: usize,
}

impl Pages<'_> {
    /// The next page; `None` behind the last. The first is there even if it is empty.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<Value>>> {
        if self.has_ended {
            return Ok(None);
        }
        let mut url = self.api.at(self.path)?;
        url.query_pairs_mut()
            .extend_pairs(&self.query)
            .append_pair("rowsPerPage", &PAGE.to_string())
            .append_pair("page", &self.page.to_string());
        let answer = self.api.answer(self.api.http.get(url)).await?;
        let Page { results, pagination } =
            serde_json::from_value(answer).context("not a list of the API of sharing")?;
        self.page += 1;
        self.seen += results.len();
        self.has_ended = results.is_empty() || self.seen >= pagination.count;
        Ok(Some(results))
    }
}

/// What an error tells: a line, or one for each thing that is wrong. `None` where it is not one of the API.
fn details(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    match body.get("detail")? {
        Value::String(said) => Some(one_line(said)),
        Value::Array(all) if !all.is_empty() => Some(all.iter().map(invalid).collect::<Vec<_>>().join("\n")),
        other => Some(one_line(&other.to_string())),
    }
}

/// One thing that is wrong, in the form of `FastAPI`: where, and what.
fn invalid(said: &Value) -> String {
    let step = |step: &Value| step.as_str().map_or_else(|| step.to_string(), str::to_owned);
    let place: Vec<String> =
        said.get("loc").and_then(Value::as_array).into_iter().flatten().map(step).collect();
    match (place.join("."), text(said, "msg")) {
        (_, "") => one_line(&said.to_string()),
        (place, msg) if place.is_empty() => one_line(msg),
        (place, msg) => one_line(&format!("{place}: {msg}")),
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split(char::is_control).filter(|part| !part.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_is_wrong_has_a_line() {
        let plain = r#"{"detail":"Status is not\nsucceeded"}"#;
        assert_eq!(details(plain).unwrap(), "Status is not succeeded");
        let many = r#"{"detail":[
            {"type":"missing","loc":["body","packageName"],"msg":"Field required","input":null},
            {"type":"list_type","loc":["body","rows",3],"msg":"Value error, row 3"},
            {"type":"json_invalid","msg":"JSON decode error"}]}"#;
        let expected = "body.packageName: Field required\nbody.rows.3: Value error, row 3\nJSON decode error";
        assert_eq!(details(many).unwrap(), expected);
        assert_eq!(details("<html>"), None);
        assert_eq!(one_line(&"ä".repeat(1000)).chars().count(), LONGEST_QUOTE + 1);
    }
}
