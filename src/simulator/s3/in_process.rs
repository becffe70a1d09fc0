//! S3 called by an SDK without a socket: for tests on a paused clock.

use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    shared::IntoShared as _,
};
use aws_smithy_types::body::SdkBody;
use axum::body::Body;

use super::S3Door;
use crate::simulator::api::Closed;

impl HttpClient for S3Door {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.clone().into_shared()
    }
}

impl HttpConnector for S3Door {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let door = self.clone();
        HttpConnectorFuture::new(async move { door.send(request).await })
    }
}

impl S3Door {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let response = self.answer(request.map(Body::new)).await;
        if response.extensions().get::<Closed>().is_some() {
            return Err(ConnectorError::io("the connection was closed without an answer".into()));
        }
        let response = HttpResponse::try_from(response.map(SdkBody::from_body_1_x));
        response.map_err(|error| ConnectorError::other(error.into(), None))
    }
}
