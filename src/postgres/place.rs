//! Where in a COPY an error happened, read from its context.

/// The line and the column that a context names, as `COPY courses, line 3, column id: "x"`. The table's and
/// the columns' names are known, and may look like anything.
pub(super) fn of(context: &str, table: &str, columns: &[String]) -> (Option<u64>, Option<String>) {
    let first = context.lines().find_map(|line| line.strip_prefix("COPY ")).unwrap_or_default();
    let Some(rest) = first.strip_prefix(table).and_then(|rest| rest.strip_prefix(',')) else {
        return (None, None);
    };
    // The word before the number is in the server's language.
    let Some(start) = rest.find(|byte: char| byte.is_ascii_digit()) else { return (None, None) };
    let (_, from) = rest.split_at(start);
    let end = from.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(from.len());
    let (digits, after) = from.split_at(end);
    let Some(after) = after.strip_prefix(", ") else { return (digits.parse().ok(), None) };
    let named = |column: &&String| {
        after.split_once(' ').is_some_and(|(_, rest)| {
            rest.strip_prefix(column.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        })
    };
    let column = columns.iter().filter(named).max_by_key(|column| column.len());
    (digits.parse().ok(), column.cloned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(context: &str) -> (Option<u64>, Option<String>) {
        let columns = ["id", "a: b", "a", "Größe"].map(str::to_owned);
        of(context, "canvas.courses", &columns)
    }

    #[test]
    fn line_and_column_are_read_in_any_language() {
        assert_eq!(place("COPY canvas.courses, line 3, column id: \"x\""), (Some(3), Some("id".to_owned())));
        assert_eq!(place("COPY canvas.courses, line 3: \"1\t2\""), (Some(3), None));
        assert_eq!(
            place("COPY canvas.courses, line 12, column a: b: \"4\""),
            (Some(12), Some("a: b".to_owned()))
        );
        assert_eq!(
            place("COPY canvas.courses, line 1, column a: null input"),
            (Some(1), Some("a".to_owned()))
        );
        assert_eq!(
            place("COPY canvas.courses, Zeile 7, Spalte Größe: „x“"),
            (Some(7), Some("Größe".to_owned()))
        );
        assert_eq!(
            place("JSON data, line 1: {x...\nCOPY canvas.courses, line 5, column a: \"{x\""),
            (Some(5), Some("a".to_owned()))
        );
        assert_eq!(place("COPY others, line 3, column id: \"x\""), (None, None));
        assert_eq!(place(""), (None, None));
    }

    proptest! {
        #[test]
        fn no_context_is_too_odd(context in any::<String>(), tail in any::<String>()) {
            let _read = place(&context);
            let _read = place(&format!("COPY canvas.courses, line {tail}"));
        }
    }
}
