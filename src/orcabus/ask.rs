//! What is asked of a service, a page at a time.

use http::Method;
use serde_json::Value;
use url::Url;

use crate::ports::{Class, Error, Result};

/// Entries of a page: the most that the services give.
const ROWS_PER_PAGE: u64 = 1000;

/// A question to a service, or an order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ask {
    /// The service: the first name of its host.
    pub(super) service: &'static str,
    /// What is called, e.g. `GET file /s3`. Without ids, so that it can be shown.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// What goes with an order.
    pub(super) body: Option<Value>,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    /// From 1; 0: it has no pages.
    page: u64,
    rows_per_page: u64,
}

impl Ask {
    /// For one thing, or for a list without pages.
    pub(super) fn one(service: &'static str, operation: &'static str, path: &[&str]) -> Self {
        let path = path.iter().map(|&name| name.to_owned()).collect();
        Self {
            service,
            operation,
            method: Method::GET,
            body: None,
            path,
            query: Vec::new(),
            page: 0,
            rows_per_page: ROWS_PER_PAGE,
        }
    }

    /// For the first page of a list.
    pub(super) fn list(service: &'static str, operation: &'static str, path: &[&str]) -> Self {
        Self { page: 1, ..Self::one(service, operation, path) }
    }

    /// An order.
    pub(super) fn order(
        (method, service): (Method, &'static str),
        operation: &'static str,
        path: &[&str],
        body: Value,
    ) -> Self {
        Self { method, body: Some(body), ..Self::one(service, operation, path) }
    }

    /// The same, of which at most so many entries are wanted at a time.
    pub(super) fn at_most(self, rows_per_page: u64) -> Self {
        Self { rows_per_page, ..self }
    }

    /// The same, with one more parameter.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }

    /// The same, with a parameter for each of these.
    pub(super) fn with_each<'a>(
        mut self,
        name: &'static str,
        values: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        self.query.extend(values.into_iter().map(|value| (name, value.clone())));
        self
    }

    /// Where to send it, below the address of the service.
    pub(super) fn url(&self, base: &Url) -> Result<Url> {
        let mut url = base.clone();
        {
            let mut path = url
                .path_segments_mut()
                .map_err(|()| Error::new(Class::Invalid, self.operation, "share.orcabus_url is no base"))?;
            path.pop_if_empty().extend(&self.path);
        }
        if self.page > 0 || !self.query.is_empty() {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(&self.query);
            if self.page > 0 {
                query.append_pair("rowsPerPage", &self.rows_per_page.to_string());
                query.append_pair("page", &self.page.to_string());
            }
        }
        Ok(url)
    }

    /// The question for the page that a link leads to. Of the link only the number of the page is taken: the service
    /// for reads joins lists with commas in its links, and then does not understand them.
    ///
    /// # Errors
    ///
    /// `Invalid` where the link leads to another host, or not to a later page.
    pub(super) fn next(&self, at: &Url, link: &str) -> Result<Self> {
        let invalid =
            |what: &str| Error::new(Class::Invalid, self.operation, format!("the next page {what}"));
        let link = at.join(link).map_err(|_| invalid("has no address"))?;
        let is_there = link.host_str() == at.host_str()
            && (link.port() == at.port() || link.port().is_none() && at.scheme() != link.scheme());
        if !is_there {
            let host = link.host_str().unwrap_or("nowhere");
            return Err(invalid(&format!(
                "is said to be on another host, `{host}`: it is not asked for there"
            )));
        }
        let page = link.query_pairs().find_map(
            |(name, value)| {
                if name == "page" { value.parse::<u64>().ok() } else { None }
            },
        );
        match page {
            Some(page) if page > self.page => Ok(Self { page, ..self.clone() }),
            _ => Err(invalid("is not a later one")),
        }
    }
}
