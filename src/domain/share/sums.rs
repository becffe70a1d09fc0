//! Sums that lie beside a file: `x.bam.md5` or `x.bam.md5sum`, beside `x.bam`.

/// What is put behind the name of a file for that of its sum.
pub const ENDINGS: [&str; 2] = [".md5", ".md5sum"];

/// Whether it is such a sum itself.
#[must_use]
pub fn is_sum_file(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The MD5 that a text tells of the file of that name, in hex: the line of `md5sum` with its name, or that of BSD's
/// `md5`, or a sum that stands alone. `None` where it tells none of it, or two that contradict each other.
#[must_use]
pub fn md5_of(text: &str, name: &str) -> Option<String> {
    let mut found: Option<String> = None;
    let (mut alone, mut lines) = (None, 0);
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty()) {
        lines += 1;
        let Some((sum, of)) = read(line) else { continue };
        match of {
            None => alone = Some(sum),
            Some(of) if last_name(&of) == name => match &found {
                Some(other) if *other != sum => return None,
                _ => found = Some(sum),
            },
            Some(_) => {}
        }
    }
    found.or_else(|| alone.filter(|_| lines == 1))
}

/// The sum of a line, and the name that stands with it, if one does.
fn read(line: &str) -> Option<(String, Option<String>)> {
    if let Some(rest) = line.strip_prefix("MD5") {
        let (name, sum) = rest.trim_start().strip_prefix('(')?.rsplit_once(')')?;
        return Some((hex(sum.trim_start().strip_prefix('=')?.trim())?, Some(name.to_owned())));
    }
    let (is_escaped, line) = line.strip_prefix('\\').map_or((false, line), |rest| (true, rest));
    let (sum, rest) = line.split_at_checked(32)?;
    let sum = hex(sum)?;
    if rest.is_empty() {
        return Some((sum, None));
    }
    let name = rest.strip_prefix([' ', '\t'])?;
    // The second letter says how the file was read: as a text, or as it is.
    let name = name.strip_prefix([' ', '*']).unwrap_or(name).trim_start();
    let name = if is_escaped { unescape(name) } else { name.to_owned() };
    // What was read from a pipe has no name.
    Some((sum, Some(name).filter(|name| name != "-")))
}

fn hex(text: &str) -> Option<String> {
    let is_sum = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sum.then(|| text.to_ascii_lowercase())
}

fn unescape(name: &str) -> String {
    name.replace("\\\\", "\u{0}").replace("\\n", "\n").replace("\\r", "\r").replace('\u{0}', "\\")
}

fn last_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SUM: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const OTHER: &str = "0cc175b9c0f1b6a831c399e269772661";

    #[test]
    fn a_sum_is_read_in_every_form_that_programs_write() {
        for text in [
            SUM.to_owned(),
            format!("{}\r\n", SUM.to_uppercase()),
            format!("{SUM}  x.bam\n"),
            format!("{SUM} *x.bam\n"),
            format!("{SUM}\tx.bam"),
            format!("{SUM}  ./out/x.bam\n"),
            format!("{SUM}  -\n"),
            format!("MD5 (/data/x.bam) = {SUM}\n"),
            format!("{OTHER}  y.bam\n{SUM}  x.bam\n"),
            format!("\u{feff}{SUM}  x.bam\n{SUM}  x.bam\n"),
        ] {
            assert_eq!(md5_of(&text, "x.bam").as_deref(), Some(SUM), "{text:?}");
        }
        assert_eq!(md5_of(&format!("\\{SUM}  a\\\\b"), "a\\b").as_deref(), Some(SUM));
    }

    #[test]
    fn what_is_told_of_another_file_or_not_understood_is_no_sum() {
        for text in [
            String::new(),
            format!("{SUM}  y.bam"),
            format!("{SUM}\n{OTHER}"),
            format!("{SUM}  x.bam\n{OTHER}  x.bam"),
            format!("{SUM}0"),
            SUM.replace('d', "g"),
            format!("MD5 (y.bam) = {SUM}"),
            format!("{SUM}{SUM}  x.bam"),
            "é".repeat(40),
        ] {
            assert_eq!(md5_of(&text, "x.bam"), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,200}", name in "\\PC{0,20}") {
            drop(md5_of(&text, &name));
        }
    }
}
