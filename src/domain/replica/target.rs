//! Who is told what a run has come to.

/// A target, as it is written: `sns:ARN`, `https://…`, `slack:https://…`, `log`; with what it gets before it, as
/// `text=log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it gets.
    pub form: Form,
    /// Where it is.
    pub to: String,
}

/// What a target gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The whole message, as JSON.
    Pivot,
    /// The list of tables, as JSON.
    Tables,
    /// Lines for people.
    Text,
}

impl Target {
    /// Reads a target as settings write it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in one sentence.
    pub fn read(text: &str) -> Result<Self, String> {
        let forms = [("pivot=", Form::Pivot), ("tables=", Form::Tables), ("text=", Form::Text)];
        let said = forms.into_iter().find_map(|(name, form)| Some((form, text.strip_prefix(name)?)));
        let is_slack = said.map_or(text, |(_, to)| to).starts_with("slack:");
        let (form, to) = said.unwrap_or((if is_slack { Form::Text } else { Form::Pivot }, text));
        let is_known =
            to == "log" || ["sns:arn:", "https://", "slack:https://"].iter().any(|kind| to.starts_with(kind));
        if is_known {
            return Ok(Self { form, to: to.to_owned() });
        }
        Err("a target is sns:ARN, https://…, slack:https://… or log, with pivot=, tables= or text= before it"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_they_are_written() {
        for (text, form, to) in [
            ("log", Form::Pivot, "log"),
            ("text=log", Form::Text, "log"),
            ("sns:arn:aws:sns:us-east-1:1:t", Form::Pivot, "sns:arn:aws:sns:us-east-1:1:t"),
            ("tables=https://example.org/x", Form::Tables, "https://example.org/x"),
            ("slack:https://hooks.slack.com/a", Form::Text, "slack:https://hooks.slack.com/a"),
        ] {
            assert_eq!(Target::read(text), Ok(Target { form, to: to.to_owned() }));
        }
        for wrong in ["", "http://example.org", "sns:topic", "mail:a@b", "slack:http://x"] {
            assert!(Target::read(wrong).is_err(), "{wrong}");
        }
    }
}
