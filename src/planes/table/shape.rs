//! The shape that a table is to have, and how it gets it.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    TableRun,
    judge::{Halt, Step},
};
use crate::{
    domain::replica::{
        changes::{Changes, Found, Step as Change},
        lines,
        meta::MetaRow,
        schema,
        shape::Shape,
        steps,
        treat::{OnChange, Treatment, Treatments, meanwhile},
    },
    ports::{
        replica::{Loader, Look},
        source::SchemaVersion,
    },
    signals,
};

/// A schema as it is asked for, and what comes of it.
#[derive(Debug, Clone)]
pub(super) struct Shaped {
    pub version: i64,
    /// As it is kept with the table.
    pub schema: serde_json::Value,
    /// What the source says, with what the settings make of it.
    pub shape: Shape,
    /// What is done to columns; also to those that are left out of the shape.
    pub columns: BTreeMap<String, Treatment>,
}

impl TableRun<'_> {
    /// The schema of a job: that of the table where it is the same, so that the source need not be asked.
    pub(super) async fn shaped(&self, look: &Look, wanted: Option<i64>) -> Result<Shaped, Halt> {
        let is_same = |version| !self.state.fresh_schema && wanted == Some(version);
        if let Some(meta) = look.meta.as_ref().filter(|meta| is_same(meta.schema_version)) {
            return self
                .shaped_by(&SchemaVersion { version: meta.schema_version, schema: meta.schema.clone() });
        }
        let source = self.source();
        let mut schema = source.schema(&self.order.table).await.map_err(Halt::Source)?;
        if wanted.is_some_and(|wanted| wanted > schema.version) {
            // It was read just before it changed.
            schema = source.schema(&self.order.table).await.map_err(Halt::Source)?;
        }
        self.shaped_by(&schema)
    }

    fn shaped_by(&self, of: &SchemaVersion) -> Result<Shaped, Halt> {
        let table = &self.order.table;
        let shape = schema::shape(table, &of.schema).map_err(refused)?;
        let treatments = Treatments::parse(&self.of.settings.columns).map_err(refused)?;
        let treated = treatments.apply(table, shape).map_err(refused)?;
        let schema = schema::kept(&of.schema);
        Ok(Shaped { version: of.version, schema, shape: treated.shape, columns: treated.columns })
    }

    /// What marks the table as treated by the settings; with a hash, also by which key.
    pub(super) fn mark(&self) -> Result<Option<String>, Halt> {
        let (settings, table) = (&self.of.settings, &self.order.table);
        let treatments = Treatments::parse(&settings.columns).map_err(refused)?;
        let is_hashed = treatments.hashed(table).next().is_some();
        let key = settings.hash_key.as_ref().filter(|_| is_hashed);
        let key = key.map(|key| lines::fingerprint(key.expose_secret().as_bytes()));
        let mark = treatments.mark(table);
        Ok(mark.map(|mark| key.map_or_else(|| mark.clone(), |key| format!("{mark};key={key}"))))
    }

    /// Whether the table holds rows whose columns were treated otherwise than they are to be; then it needs a snapshot.
    pub(super) fn is_retreated(&mut self, look: &Look) -> Result<bool, Halt> {
        if look.meta.is_none() || self.state.needs_init {
            return Ok(self.state.needs_init);
        }
        let is_other = look.mark != self.mark()? || self.has_broken_hashes(look)?;
        if is_other {
            signals::replica::treated_anew(self.root.as_str(), &self.order.table);
            self.done().note(["its columns are to be treated otherwise: loaded anew".to_owned()]);
            (self.state.needs_init, self.state.asked) = (true, None);
        }
        Ok(is_other)
    }

    /// Whether a hash is no text any more: another program has given its column the type that the source says, and may
    /// have cut it. Where changes wait for a person, it may never have been one.
    fn has_broken_hashes(&self, look: &Look) -> Result<bool, Halt> {
        let settings = &self.of.settings;
        let Some(found) = look.found.as_ref().filter(|_| settings.on_change.is_empty()) else {
            return Ok(false);
        };
        let treatments = Treatments::parse(&settings.columns).map_err(refused)?;
        let is_broken =
            |name: &str| found.columns.iter().any(|there| there.name == name && there.kind != "text");
        Ok(treatments.hashed(&self.order.table).any(is_broken))
    }

    /// Brings the definition of the table that is there to the shape. The shape by which rows are loaded then: what
    /// waits for a person is not in it.
    pub(super) async fn evolve(
        &mut self,
        loader: &mut dyn Loader,
        look: &Look,
        shaped: Shaped,
    ) -> Result<Shaped, Halt> {
        let Some(found) = &look.found else { return Ok(shaped) };
        let (changes, held) = self.changes(found, &shaped.shape)?;
        self.done().note(changes.notes.clone());
        if !changes.steps.is_empty() {
            let reason = format!("schema version {}", shaped.version);
            let evolved = loader.evolve(&changes, &reason).await?;
            let (statements, remade) = (&evolved.statements, &evolved.remade);
            signals::replica::schema_changed(self.root.as_str(), &self.order.table, statements, remade);
            let done = self.done();
            done.remade.extend(evolved.remade);
            done.statements.extend(evolved.statements);
            done.note(evolved.notes);
            self.store().await?;
        }
        Ok(self.meanwhile(shaped, found, held))
    }

    /// The shape by which rows are loaded while changes wait.
    pub(super) fn meanwhile(&mut self, mut shaped: Shaped, found: &Found, held: Vec<Change>) -> Shaped {
        shaped.shape = meanwhile(shaped.shape, found, &held);
        for step in held {
            if let Change::Add(column) = &step {
                // Its values come all the same.
                shaped.columns.insert(column.name.clone(), Treatment::Drop);
            }
            let said = in_words(&step);
            if !self.state.done.held.contains(&said) {
                signals::replica::change_held(self.root.as_str(), &self.order.table, &said);
                self.state.done.held.push(said);
            }
        }
        shaped
    }

    /// The changes that are made, and those that wait for a person.
    pub(super) fn changes(&self, found: &Found, shape: &Shape) -> Result<(Changes, Vec<Change>), Halt> {
        if let Some(why) = steps::other_key(found, shape) {
            return Err(Halt::Refused(why));
        }
        let waits = OnChange::parse(&self.of.settings.on_change).map_err(refused)?;
        Ok(waits.hold(found, steps::changes(found, shape)))
    }

    /// Says what would be done to the table.
    pub(super) async fn plan(&mut self, mut loader: Box<dyn Loader>, look: &Look) -> Result<Step, Halt> {
        let schema = self.source().schema(&self.order.table).await.map_err(Halt::Source)?;
        let shaped = self.shaped_by(&schema)?;
        let is_new = look.meta.is_none() || self.is_retreated(look)?;
        let Some(found) = look.found.as_ref().filter(|_| !is_new) else {
            self.done().note(["it would be loaded as a whole".to_owned()]);
            return Ok(self.complete());
        };
        let (changes, held) = self.changes(found, &shaped.shape)?;
        let planned = loader.plan(&changes).await?;
        self.meanwhile(shaped, found, held);
        let done = self.done();
        done.note(changes.notes);
        done.note(planned.notes);
        (done.statements, done.remade) = (planned.statements, planned.remade);
        Ok(self.complete())
    }
}

impl Shaped {
    /// What the replica is to know of the table then.
    pub(super) fn meta(&self, data_of: jiff::Timestamp) -> MetaRow {
        MetaRow { timestamp: data_of, schema_version: self.version, schema: self.schema.clone() }
    }

    /// What is done to columns on their way.
    pub(super) fn treatments(&self, key: Option<&SecretString>) -> BTreeMap<String, lines::Treatment> {
        let key = key.map(|key| key.expose_secret().as_bytes().to_vec()).unwrap_or_default();
        let of_lines = |treatment: &Treatment| match treatment {
            Treatment::Drop => lines::Treatment::Drop,
            Treatment::Null => lines::Treatment::Null,
            Treatment::Hash => lines::Treatment::Hash(key.clone()),
        };
        self.columns.iter().map(|(name, treatment)| (name.clone(), of_lines(treatment))).collect()
    }
}

fn refused(why: impl std::fmt::Display) -> Halt {
    Halt::Refused(why.to_string())
}

/// A change, as people are told that it waits.
fn in_words(step: &Change) -> String {
    match step {
        Change::Add(column) => format!("add column {} {}", column.name, column.kind),
        Change::Drop { column } => format!("drop column {column}"),
        Change::Retype { column, from, to, .. } => format!("column {column} from {from} to {to}"),
        Change::AddLabels { column, .. } => format!("more labels of column {column}"),
        Change::Optional { column } => format!("column {column} need not be there any more"),
        Change::Required { column } => format!("column {column} must be there"),
        Change::Default(column) => format!("default of column {}", column.name),
        Change::Comment { column: Some(column), .. } => format!("comment of column {column}"),
        Change::Comment { column: None, .. } => "comment of the table".to_owned(),
    }
}
