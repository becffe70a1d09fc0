//! The platform's bearer token in Secrets Manager: short-lived, and replaced again and again.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use copy_manager::ports::clock::{Clock as _, SystemClock};
use serde_json::json;

use crate::lab::Lab;

/// How long a token lives, in seconds: daemons look for the next one all the time.
const LIFE: i64 = 20;

/// The name of the secret.
pub(crate) const SECRET: &str = "icav2-token";

fn fresh(serial: u64) -> String {
    let claims = json!({ "exp": SystemClock::new().now().as_second() + LIFE, "jti": serial.to_string() });
    let jwt = format!("eyJhbGciOiJub25lIn0.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    json!({ "token": jwt }).to_string()
}

/// Makes the secret, and has daemons that are started from now on read it.
pub(crate) async fn keep_in_secret(lab: &mut Lab) {
    lab.aws.secrets.create_secret().name(SECRET).secret_string(fresh(0)).send().await.unwrap();
    lab.unset("ICAV2_ACCESS_TOKEN");
    lab.set("COPY_MANAGER__ICAV2__TOKEN_SECRET_ID", SECRET);
}

/// Puts another token there.
pub(crate) async fn renew(lab: &Lab, serial: u64) {
    lab.aws.secrets.put_secret_value().secret_id(SECRET).secret_string(fresh(serial)).send().await.unwrap();
}
