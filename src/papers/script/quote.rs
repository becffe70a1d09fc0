//! Words of bash.

/// Adds `word` in single quotes, in which every byte stands for itself; `'` is `'\''`.
pub(super) fn push_quoted(out: &mut String, word: &str) {
    out.push('\'');
    for (index, part) in word.split('\'').enumerate() {
        if index > 0 {
            out.push_str("'\\''");
        }
        out.push_str(part);
    }
    out.push('\'');
}
