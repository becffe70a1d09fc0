//! The one way in which names and values get into the text of a statement.

use std::fmt::Write as _;

use crate::domain::replica::shape::{LONGEST_NAME, Literal};

/// A name, quoted. A NUL, which no name can hold, is left out.
pub(super) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// A name in a schema, quoted.
pub(super) fn within(schema: &str, object: &str) -> String {
    format!("{}.{}", name(schema), name(object))
}

/// Names, quoted, with commas between them.
pub(super) fn names<'n>(all: impl IntoIterator<Item = &'n str>) -> String {
    all.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A text as a literal of a statement that takes no parameters. A backslash means itself whatever the
/// server's settings are.
pub(super) fn text(text: &str) -> String {
    let quoted = text.replace('\0', "").replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// A text as a literal, or NULL.
pub(super) fn text_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), self::text)
}

/// A default as a literal. Numbers, too, are quoted: the server reads them as the column's type.
pub(super) fn literal(literal: &Literal) -> String {
    match literal {
        Literal::Number(number) => text(number),
        Literal::Boolean(true) => "true".to_owned(),
        Literal::Boolean(false) => "false".to_owned(),
        Literal::Text(value) => text(value),
    }
}

/// A name that the server keeps whole: one that is too long is cut, and ends with a hash of all of it.
pub(super) fn fitting(name: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    cut(name, LONGEST_NAME - 9).to_owned() + &hash(name)
}

/// The beginning of a text, in whole characters, of at most so many bytes.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

fn hash(name: &str) -> String {
    let mut shown = "_".to_owned();
    for byte in number(name).to_be_bytes().iter().take(4) {
        // Writing to a String cannot fail.
        let _written = write!(shown, "{byte:02x}");
    }
    shown
}

/// A number that stands for a text, the same for ever.
pub(super) fn number(text: &str) -> i64 {
    use sha2::{Digest as _, Sha256};

    let digest = Sha256::digest(text.as_bytes());
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ends_its_own_quotes() {
        assert_eq!(name("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(within("ca nvas", "Order"), "\"ca nvas\".\"Order\"");
        assert_eq!(names(["a", "b\""]), "\"a\", \"b\"\"\"");
    }

    #[test]
    fn no_text_ends_its_own_quotes() {
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(text("\\'; DROP"), " E'\\\\''; DROP'");
        assert_eq!(text_or_null(None), "NULL");
        assert_eq!(literal(&Literal::Number("1; --".to_owned())), "'1; --'");
    }

    #[test]
    fn long_names_are_cut_at_a_character_and_stay_apart() {
        let (one, other) = ("é".repeat(40) + "1", "é".repeat(40) + "2");
        assert!(fitting(&one).len() <= LONGEST_NAME);
        assert_ne!(fitting(&one), fitting(&other));
        assert_eq!(fitting("courses"), "courses");
    }
}
