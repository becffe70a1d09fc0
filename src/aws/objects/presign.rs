//! Links to objects, signed here: whoever has one may read the object until it ends.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use jiff::Timestamp;

use super::S3Objects;
use crate::ports::{
    Class, Error, Result,
    objects::{Access, ObjectLocation, Presigned},
};

const OPERATION: &str = "sign GetObject";

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Class::Invalid, OPERATION, "a link cannot be signed").caused_by(error)
}

impl S3Objects {
    /// Signs a link with our own credentials. It ends with them, where they end.
    pub(super) async fn presigned(
        &self,
        at: &ObjectLocation,
        now: Timestamp,
        lasts: Duration,
    ) -> Result<Presigned> {
        let until = now + jiff::SignedDuration::try_from(lasts).map_err(failed)?;
        let until = match self.clients.own_credentials().await? {
            Some(credentials) => match credentials.expiry().and_then(of_system) {
                Some(ends) => until.min(ends),
                None => until,
            },
            None => until,
        };
        let client = self.clients.for_body(&at.bucket, &Access::Own).await;
        let config = PresigningConfig::builder().start_time(SystemTime::from(now)).expires_in(lasts);
        let config = config.build().map_err(failed)?;
        let call = client.get_object().bucket(&at.bucket).key(&at.key).customize();
        // In the address: a header would be signed, too, and whoever follows a link sends none.
        let pays = self.payer(&[&at.bucket]).map(|payer| format!("x-amz-request-payer={}", payer.as_str()));
        let call = call.map_request(move |mut request| {
            let Some(pays) = &pays else { return Ok(request) };
            let uri = request.uri();
            let joint = if uri.contains('?') { '&' } else { '?' };
            let uri = format!("{uri}{joint}{pays}");
            request.set_uri(uri).map(|()| request)
        });
        let request = call.presigned(config).await.map_err(failed)?;
        Ok(Presigned { url: request.uri().to_owned(), until })
    }
}

fn of_system(at: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(at).ok()
}
