//! Parameters of Systems Manager.

use aws_sdk_ssm::{operation::get_parameter::GetParameterOutput, types::Parameter};
use aws_smithy_mocks::{create_mock_http_client, mock};
use secrecy::ExposeSecret as _;

use super::{script, sdk_config};
use crate::{
    aws::parameters::NamedParameters,
    ports::{Class, parameters::Parameters as _},
};

const NAME: &str = "/hosted_zone/umccr/name";

#[tokio::test(start_paused = true)]
async fn a_parameter_is_read_decrypted_and_never_told() {
    let rule = mock!(aws_sdk_ssm::Client::get_parameter)
        .match_requests(|request| request.name() == Some(NAME) && request.with_decryption() == Some(true))
        .then_output(|| {
            GetParameterOutput::builder().parameter(Parameter::builder().value("example.org").build()).build()
        });
    let parameters = NamedParameters::new(scripted!(aws_sdk_ssm, &rule));
    let value = parameters.read(NAME).await.unwrap();
    assert_eq!(value.expose_secret(), "example.org");
    assert!(!format!("{value:?} {parameters:?}").contains("example.org"));
    let empty =
        mock!(aws_sdk_ssm::Client::get_parameter).then_output(|| GetParameterOutput::builder().build());
    let error = NamedParameters::new(scripted!(aws_sdk_ssm, &empty)).read(NAME).await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_is_not_there_or_not_for_us_is_told_by_its_name() {
    let denied = "User: arn:aws:sts::123456789012:assumed-role/x is not authorized to perform: ssm:GetParameter on \
        resource: arn:aws:ssm:ap-southeast-2:123456789012:parameter/hosted_zone/umccr/name";
    for (code, class, said) in [
        ("ParameterNotFound", Class::NotFound, NAME),
        ("AccessDeniedException", Class::Forbidden, "hosted_zone/umccr/name"),
        ("ThrottlingException", Class::Throttled, "ThrottlingException"),
        ("InternalServerError", Class::Transient, "InternalServerError"),
    ] {
        let status = if class == Class::Transient { 500 } else { 400 };
        let said_by_service = if class == Class::NotFound { "" } else { denied };
        let answer = Some(format!(r#"{{"__type":"{code}","message":"{said_by_service}"}}"#));
        let rule =
            mock!(aws_sdk_ssm::Client::get_parameter).sequence().http_status(status, answer).times(3).build();
        let error = NamedParameters::new(scripted!(aws_sdk_ssm, &rule)).read(NAME).await.unwrap_err();
        assert_eq!(error.class, class, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}
