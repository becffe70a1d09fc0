//! What we need to know about bearer tokens: where in a secret's text the token is, and when it
//! ends. Signatures are not checked; that is the business of the server that accepts the token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// The names under which secrets of this kind keep their token.
const NAMES: [&str; 5] = ["token", "access_token", "accessToken", "jwt", "ICAV2_ACCESS_TOKEN"];

/// The token in the text of a secret: the text itself, a JSON string, or a member of a JSON object.
#[must_use]
pub fn token_in(secret: &str) -> Option<String> {
    let token = match serde_json::from_str(secret) {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(members)) => NAMES.iter().find_map(|name| members.get(*name)?.as_str())?.to_owned(),
        Ok(_) => return None,
        Err(_) => secret.to_owned(),
    };
    let token = token.trim();
    let is_one_word = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    (is_one_word && !token.starts_with('{')).then(|| token.to_owned())
}

/// The token that names who somebody is, where a secret holds one beside others: its `id_token`, else as [`token_in`].
#[must_use]
pub fn id_token_in(secret: &str) -> Option<String> {
    let members = serde_json::from_str::<Value>(secret).ok();
    let named = members.as_ref().and_then(|value| value.get("id_token")).and_then(Value::as_str);
    token_in(named.unwrap_or(secret))
}

/// What a JWT claims, if it is one.
#[must_use]
pub fn claims(jwt: &str) -> Option<Map<String, Value>> {
    let mut parts = jwt.split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// When a JWT ends, if it is one and says so.
#[must_use]
pub fn expiry(jwt: &str) -> Option<Timestamp> {
    Timestamp::from_second(claims(jwt)?.get("exp")?.as_i64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn tokens_are_found_in_every_known_shape() {
        for secret in [
            "abc.def.ghi",
            " abc.def.ghi\n",
            "\"abc.def.ghi\"",
            r#"{"token":"abc.def.ghi"}"#,
            r#"{"access_token":"abc.def.ghi","expires_in":3600}"#,
            r#"{"accessToken":"abc.def.ghi"}"#,
            r#"{"jwt":"abc.def.ghi"}"#,
            r#"{"ICAV2_ACCESS_TOKEN":"abc.def.ghi"}"#,
        ] {
            assert_eq!(token_in(secret).as_deref(), Some("abc.def.ghi"), "{secret}");
        }
        for secret in
            ["", "  ", "two words", "{}", r#"{"token":7}"#, "[1]", "7", "{broken", r#"{"token":""}"#]
        {
            assert_eq!(token_in(secret), None, "{secret}");
        }
    }

    #[test]
    fn of_several_tokens_the_one_that_names_somebody_is_taken() {
        let secret = r#"{"access_token":"a.c.c","id_token":"i.d.t"}"#;
        assert_eq!(id_token_in(secret).as_deref(), Some("i.d.t"));
        assert_eq!(id_token_in(r#"{"token":"a.b.c"}"#).as_deref(), Some("a.b.c"));
        assert_eq!(id_token_in(r#"{"id_token":""}"#), None);
    }

    #[test]
    fn expiry_is_read_from_the_claims() {
        let expected = Timestamp::from_second(1_700_000_000).unwrap();
        assert_eq!(expiry(&jwt(r#"{"exp":1700000000,"sub":"é"}"#)), Some(expected));
        assert_eq!(expiry(&jwt(r#"{"sub":"nobody"}"#)), None);
        assert_eq!(expiry("opaque"), None);
        assert_eq!(expiry("a.b.c"), None);
    }
}
