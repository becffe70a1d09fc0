//! The table that former versions go to: made, and kept wide enough for those that come.

use super::Keeping;
use crate::{
    domain::replica::{
        changes::{Changes, Found, Step},
        names::TableName,
        shape::{Column as Wanted, Kind, Part, Scalar, Shape},
        steps, written,
    },
    ports::{
        error::Class,
        replica::{Result, Trouble},
    },
    postgres::{
        catalogue, evolve, failure, kinds, meta, own::Own, quote, session::Session, settings::Refresh,
        staging,
    },
};

/// Since when a version held; null where that is not known.
pub(super) const FROM: &str = "_valid_from";
/// Until when.
pub(super) const TO: &str = "_valid_to";
/// Digits that `numeric` can be told to hold.
const MOST_DIGITS: u32 = 1000;

/// A column that is kept.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// What is kept of a row `r`.
    pub(super) value: String,
}

/// Makes the history's table, or brings it to what the table has. The columns that are kept; none: the table itself is
/// not there, or cannot be kept.
pub(super) async fn ready(
    session: &mut Session,
    own: &Own,
    table: &TableName,
    place: &TableName,
    keeping: Keeping,
    refresh: Refresh,
) -> Result<Vec<Column>> {
    let Some(live) = catalogue::found(&**session, &catalogue::live(table)).await? else {
        return Ok(Vec::new());
    };
    if live.key.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = shape(&live);
    if let Some(clash) = wanted.columns.iter().find(|column| [FROM, TO].contains(&column.name.as_str())) {
        let said = format!("{table} has a column {} of its own: its history cannot be kept", clash.name);
        return Err(Trouble::Refused(said));
    }
    let into = catalogue::live(place);
    let there = match catalogue::found(&**session, &into).await? {
        Some(there) => there,
        None => make(session, table, place, &wanted, keeping).await?,
    };
    let kept = follow(session, own, place, there, &wanted, refresh).await?;
    Ok(columns(&live, &wanted, &kept))
}

/// What a history has of a table: all columns, enumerations as texts, only the key required.
fn shape(live: &Found) -> Shape {
    let column = |name: &String| {
        let there = live.columns.iter().find(|there| there.name == *name)?;
        let kind = match written::read(&there.kind, there.labels.as_deref())? {
            Kind::One(scalar) => Kind::One(storable(scalar)),
            Kind::List(scalar) => Kind::List(storable(scalar)),
        };
        let part = if live.key.contains(name) { Part::Key } else { Part::Value };
        let required = part == Part::Key;
        Some(Wanted { name: name.clone(), part, kind, required, default: None, comment: None })
    };
    let others = live.columns.iter().map(|there| &there.name).filter(|name| !live.key.contains(name));
    Shape { columns: live.key.iter().chain(others).filter_map(column).collect(), comment: None }
}

fn storable(scalar: Scalar) -> Scalar {
    match scalar {
        Scalar::Enum(_) => Scalar::Text,
        // One that is not told how much it holds.
        Scalar::Numeric { precision, .. } if precision > MOST_DIGITS => Scalar::Text,
        scalar => scalar,
    }
}

async fn make(
    session: &mut Session,
    table: &TableName,
    place: &TableName,
    wanted: &Shape,
    keeping: Keeping,
) -> Result<Found> {
    let into = catalogue::live(place);
    let mut lines: Vec<_> =
        wanted.columns.iter().map(|column| kinds::definition(column, &place.namespace)).collect();
    let (from, to) = (quote::name(FROM), quote::name(TO));
    lines.push(format!("{from} timestamp, {to} timestamp"));
    let key = wanted.key().map(|column| column.name.as_str()).chain([TO]);
    lines.push(format!("PRIMARY KEY ({})", quote::names(key)));
    let by = match keeping {
        Keeping::Always => String::new(),
        Keeping::Months(_) => format!(" PARTITION BY RANGE ({to})"),
    };
    let comment = format!("Former versions of rows of {table}, and those that were deleted");
    let statement = format!(
        "CREATE TABLE {into} ({}){by}; COMMENT ON TABLE {into} IS {}",
        lines.join(", "),
        quote::text(&comment)
    );
    let tx = session.begin().await?;
    meta::make_schema(&tx, &place.namespace).await.map_err(|trouble| unmade(trouble, table, place))?;
    tx.batch_execute(&statement).await.map_err(failure::of("CREATE TABLE"))?;
    staging::commit(tx).await?;
    let gone = || Trouble::Refused(format!("{place} has gone while it was made"));
    catalogue::found(&**session, &into).await?.ok_or_else(gone)
}

/// A role that may make no schemas needs to be given one, or to be told that there is no history.
fn unmade(trouble: Trouble, table: &TableName, place: &TableName) -> Trouble {
    match trouble {
        Trouble::Port(error) if error.class == Class::Forbidden => Trouble::Refused(format!(
            "the history of {table} needs the schema {}, which the database's role may not make: make it, owned by \
             that role, or keep no history of this table (canvas.history, and canvas.retention for logs)",
            place.namespace
        )),
        trouble => trouble,
    }
}

/// Adds what is new, and widens what has become wider. What the table has no more stays.
async fn follow(
    session: &mut Session,
    own: &Own,
    place: &TableName,
    there: Found,
    wanted: &Shape,
    refresh: Refresh,
) -> Result<Found> {
    let mut key: Vec<_> = wanted.key().map(|column| column.name.as_str()).chain([TO]).collect();
    let mut has: Vec<_> = there.key.iter().map(String::as_str).collect();
    key.sort_unstable();
    has.sort_unstable();
    if key != has || !there.columns.iter().any(|column| column.name == FROM) {
        return Err(Trouble::Refused(format!(
            "{place} is there and is no history of this table, or of it with another key: give it another name"
        )));
    }
    let steps: Vec<_> =
        steps::changes(&there, wanted).steps.into_iter().filter_map(|step| kept(step, &there)).collect();
    if steps.is_empty() {
        return Ok(there);
    }
    let changes = Changes { steps, notes: Vec::new() };
    let tx = session.begin().await?;
    let made = evolve::make(&tx, place, &changes, refresh).await?;
    let reason = "the history follows its table";
    own.note_changes(&tx, place, &made.evolved.statements, reason).await?;
    staging::commit(tx).await?;
    let _told = evolve::afterwards(session, made).await;
    Ok(catalogue::found(&**session, &catalogue::live(place)).await?.unwrap_or_default())
}

/// A step as a history takes it. Where neither type holds the other, a text holds both.
fn kept(step: Step, there: &Found) -> Option<Step> {
    match step {
        Step::Add(column) => Some(Step::Add(column)),
        Step::Retype { widens: true, .. } => Some(step),
        Step::Retype { column, from, .. } => {
            let is_text = there.columns.iter().any(|there| there.name == column && there.kind == "text");
            let to = Kind::One(Scalar::Text);
            (!is_text).then_some(Step::Retype { column, from, to, widens: true })
        }
        _ => None,
    }
}

/// How each column gets from the table into its history.
fn columns(live: &Found, wanted: &Shape, kept: &Found) -> Vec<Column> {
    let one = |column: &Wanted| {
        let name = &column.name;
        let from = live.columns.iter().find(|there| there.name == *name)?;
        let to = kept.columns.iter().find(|there| there.name == *name)?;
        let read = format!("r.{}", quote::name(name));
        let value = if from.kind == to.kind && from.labels.is_none() {
            read
        } else {
            let kind = written::read(&to.kind, None)?;
            evolve::using(&read, &from.kind, &kind, &kinds::type_of(&kind, "")).0
        };
        Some(Column { name: name.clone(), value })
    };
    wanted.columns.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::replica::changes::FoundColumn;

    fn found(kind: &str, labels: Option<&[&str]>) -> Found {
        let column = |name: &str, kind: &str, labels: Option<&[&str]>| FoundColumn {
            name: name.to_owned(),
            kind: kind.to_owned(),
            labels: labels.map(|labels| labels.iter().map(|label| (*label).to_owned()).collect()),
            required: true,
            default: None,
            comment: None,
        };
        let columns = vec![column("id", "bigint", None), column("it", kind, labels)];
        Found { columns, comment: None, key: vec!["id".to_owned()] }
    }

    #[test]
    fn enumerations_are_kept_as_texts_and_nothing_but_the_key_is_required() {
        let shape = shape(&found("courses__state", Some(&["a"])));
        let it = shape.column("it").unwrap();
        assert_eq!((&it.kind, it.required), (&Kind::One(Scalar::Text), false));
        assert!(shape.column("id").unwrap().required);
    }

    #[test]
    fn a_type_that_holds_neither_the_old_nor_the_new_becomes_text_and_stays_it() {
        let step = || Step::Retype {
            column: "it".to_owned(),
            from: "boolean".to_owned(),
            to: Kind::One(Scalar::Integer),
            widens: false,
        };
        let Some(Step::Retype { to, .. }) = kept(step(), &found("boolean", None)) else { panic!("no step") };
        assert_eq!(to, Kind::One(Scalar::Text));
        assert_eq!(kept(step(), &found("text", None)), None);
    }
}
