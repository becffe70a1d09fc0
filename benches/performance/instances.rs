//! How much more two and four instances do than one.

use crate::figures::{Book, Row};

pub(crate) const NAME: &str = "instances";

pub(crate) fn measure(book: &mut Book) {
    let why = "measured in virtual time, by a test; not filled in yet";
    for (instances, least) in [(2, 1.8), (4, 3.2)] {
        let row = Row::none(format!("throughput of {instances} instances over that of one"), "×", why);
        book.row(if instances == 2 { row.at_least(least) } else { row });
    }
}
