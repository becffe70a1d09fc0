//! Enumerations of columns that come or change.

use tokio_postgres::Transaction;

use super::{
    Statement,
    present::{self, Present, Words},
    wanted::Wanted,
};
use crate::{
    domain::replica::shape::{Enumeration, Literal, Scalar},
    ports::replica::Result,
    postgres::quote,
};

/// Labels that have to be there, committed, before the change is made: defaults of columns that come, in enumerations
/// that were left and that something uses.
pub(super) async fn labels_before(
    tx: &Transaction<'_>,
    namespace: &str,
    present: &Present,
    wanted: &Wanted<'_>,
) -> Result<Vec<Statement>> {
    let mut found = Vec::new();
    let going = |words: &Words| wanted.drops.values().any(|here| here.words.as_ref() == Some(words));
    for column in &wanted.adds {
        let (Scalar::Enum(enumeration), Some(Literal::Text(label))) = (column.kind.scalar(), &column.default)
        else {
            continue;
        };
        let Some(words) = present::words(tx, namespace, enumeration).await? else { continue };
        let is_new = !words.labels.contains(label);
        if is_new && !going(&words) && !present::users(tx, &words, present.oid, &[], &[]).await?.is_empty() {
            found.extend(add_labels(&words, enumeration));
        }
    }
    Ok(found)
}

pub(super) fn drop_type(words: &Words) -> Statement {
    let Words { schema, name, .. } = words;
    let about = format!("the enumeration {schema}.{name} cannot be dropped");
    Statement::new(about, format!("DROP TYPE {}", quote::within(schema, name)))
}

pub(super) fn create_type(namespace: &str, enumeration: &Enumeration) -> Statement {
    let Enumeration { name, labels } = enumeration;
    let labels: Vec<String> = labels.iter().map(|label| quote::text(label)).collect();
    let sql = format!("CREATE TYPE {} AS ENUM ({})", quote::within(namespace, name), labels.join(", "));
    Statement::new(format!("the enumeration {namespace}.{name} cannot be made"), sql)
}

pub(super) fn add_labels<'a>(
    words: &'a Words,
    wanted: &'a Enumeration,
) -> impl Iterator<Item = Statement> + 'a {
    wanted.labels.iter().filter(|label| !words.labels.contains(label)).map(|label| add_label(words, label))
}

pub(super) fn add_label(words: &Words, label: &str) -> Statement {
    let Words { schema, name, .. } = words;
    let about = format!("the enumeration {schema}.{name} cannot get more labels");
    let ident = quote::within(schema, name);
    Statement::new(about, format!("ALTER TYPE {ident} ADD VALUE IF NOT EXISTS {}", quote::text(label)))
}
