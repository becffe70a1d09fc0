//! Whether it is ICAv2 that answers. A wrong `icav2.base_url` leads to pages, redirects or a bare 404, and
//! that is never a caller's mistake.

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::{call::Call, client::Client, projects::LIST as PROJECTS};
use crate::{
    ports::{Class, Error},
    signals::api,
};

impl Client {
    /// The error of a call that ICAv2 answers to any caller, as the listing of projects: 404 then says that
    /// this is not ICAv2.
    pub(super) fn entering(&self, error: Error) -> Error {
        if error.class == Class::NotFound { self.elsewhere(error) } else { error }
    }

    /// The error of a call for something that may be missing, or everything is: the listing of projects
    /// tells.
    pub(super) async fn entering_for(&self, error: Error) -> Error {
        if error.class != Class::NotFound {
            return error;
        }
        match self.run(&Call::read(PROJECTS, &[]).with("pageSize", "1")).await {
            Err(list) if list.class == Class::NotFound => self.elsewhere(error),
            Ok(_) | Err(_) => error,
        }
    }

    /// The error of a redirect, which ICAv2 has none of.
    pub(super) fn led_astray(&self, error: Error) -> Error {
        let is_redirect = error.status.is_some_and(|status| (300..400).contains(&status));
        if is_redirect { self.elsewhere(error) } else { error }
    }

    /// The error of an answer that cannot be understood: a page is no answer of ICAv2.
    pub(super) fn misread(&self, error: Error, body: &Bytes) -> Error {
        let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
        if is_json { error } else { self.hinted(error) }
    }

    fn elsewhere(&self, mut error: Error) -> Error {
        error.class = Class::Invalid;
        self.hinted(error)
    }

    fn hinted(&self, mut error: Error) -> Error {
        api::not_icav2(&self.base_url, &error);
        let url = &self.base_url;
        error.message =
            format!("{}: this is no answer of ICAv2: is icav2.base_url ({url}) right?", error.message);
        error
    }
}
