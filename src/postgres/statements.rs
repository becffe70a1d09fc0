//! The statements that bring a table to other rows. Texts alone.

use super::quote;

/// Rows on their way into a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Flow {
    /// The table that they go into, quoted.
    pub live: String,
    /// The one that they lie in, quoted.
    pub from: String,
    /// The columns of the key.
    pub key: Vec<String>,
    /// The other columns that come, with the types that they have in the table.
    pub values: Vec<(String, String)>,
    /// Whether the table is partitioned: such a one does not say of a row whether it is new.
    pub is_partitioned: bool,
    /// A table of keys as JSON, whose rows are in the source although they do not come.
    pub aside: Option<String>,
}

impl Flow {
    /// `a.key = b.key AND …`.
    pub(super) fn same(&self, one: &str, other: &str) -> String {
        let same = |name: &String| format!("{one}.{0} = {other}.{0}", quote::name(name));
        self.key.iter().map(same).collect::<Vec<_>>().join(" AND ")
    }

    /// Columns of one of them, as a list.
    fn listed(prefix: &str, columns: &[String]) -> String {
        columns.iter().map(|name| format!("{prefix}{}", quote::name(name))).collect::<Vec<_>>().join(", ")
    }

    fn value_names(&self) -> Vec<String> {
        self.values.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether a row of the table differs from one that comes. As it is kept, not as it compares: `1` and
    /// `1.0` in a jsonb are equal, and not the same.
    fn differs(&self, one: &str, other: impl Fn(&str, &str) -> String) -> String {
        let names = self.value_names();
        let others: Vec<_> = self.values.iter().map(|(name, kind)| other(name, kind)).collect();
        format!(
            "ROW({})::record *<> ROW({})::record",
            Self::listed(&format!("{one}."), &names),
            others.join(", ")
        )
    }

    /// The same as a condition, also where no column but the key comes.
    pub(super) fn differs_from(&self, one: &str, other: impl Fn(&str, &str) -> String) -> String {
        if self.values.is_empty() { "false".to_owned() } else { self.differs(one, other) }
    }

    /// `ON CONFLICT …`: what happens to a row that is there.
    fn on_conflict(&self, is_compared: bool) -> String {
        let key = quote::names(self.key.iter().map(String::as_str));
        if self.values.is_empty() {
            return format!("ON CONFLICT ({key}) DO NOTHING");
        }
        let set: Vec<_> =
            self.values.iter().map(|(name, _)| format!("{0} = excluded.{0}", quote::name(name))).collect();
        let only = if is_compared {
            format!(" WHERE {}", self.differs("r", |name, _| format!("excluded.{}", quote::name(name))))
        } else {
            String::new()
        };
        format!("ON CONFLICT ({key}) DO UPDATE SET {}{only}", set.join(", "))
    }

    /// What came in and what was changed: rows that were inserted have no former version. `coming`: which rows come.
    fn counted(&self, statement: &str, coming: &str) -> String {
        if self.is_partitioned {
            let Self { live, from, .. } = self;
            return format!(
                "WITH fresh AS MATERIALIZED (SELECT count(*) AS n FROM {from} AS f WHERE {coming} \
                 AND NOT EXISTS (SELECT FROM {live} AS r WHERE {})), done AS ({statement} RETURNING 1) \
                 SELECT fresh.n, greatest((SELECT count(*) FROM done) - fresh.n, 0) FROM fresh",
                self.same("r", "f")
            );
        }
        format!(
            "WITH done AS ({statement} RETURNING (r.xmax = 0) AS fresh) \
             SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM done"
        )
    }

    /// Inserts and updates those rows of which `"meta.action"` (the name is given) says so.
    pub(super) fn upsert(&self, action: &str) -> String {
        let mut columns = self.key.clone();
        columns.extend(self.value_names());
        let coming = format!("f.{} = 'U'", quote::name(action));
        let statement = format!(
            "INSERT INTO {} AS r ({}) SELECT {} FROM {} AS f WHERE {coming} {}",
            self.live,
            Self::listed("", &columns),
            Self::listed("f.", &columns),
            self.from,
            self.on_conflict(true)
        );
        self.counted(&statement, &coming)
    }

    /// Deletes those rows of which the action says so.
    pub(super) fn delete(&self, action: &str) -> String {
        format!(
            "DELETE FROM {} AS r USING {} AS f WHERE f.{} = 'D' AND {}",
            self.live,
            self.from,
            quote::name(action),
            self.same("r", "f")
        )
    }

    /// Inserts and updates the rows of a whole snapshot that are not there, or not as they are.
    pub(super) fn merge(&self) -> String {
        let mut columns = self.key.clone();
        columns.extend(self.value_names());
        let cast = |name: &str, kind: &str| format!("f.{}::{kind}", quote::name(name));
        let mut selected = vec![Self::listed("f.", &self.key)];
        selected.extend(self.values.iter().map(|(name, kind)| cast(name, kind)));
        let first = self.key.first().map(String::as_str).unwrap_or_default();
        let differs =
            if self.values.is_empty() { String::new() } else { format!(" OR {}", self.differs("o", cast)) };
        let statement = format!(
            "INSERT INTO {live} AS r ({}) SELECT {} FROM {} AS f LEFT JOIN {live} AS o ON {} \
             WHERE o.{} IS NULL{differs} {}",
            Self::listed("", &columns),
            selected.join(", "),
            self.from,
            self.same("o", "f"),
            quote::name(first),
            self.on_conflict(false),
            live = self.live
        );
        self.counted(&statement, "true")
    }

    /// Deletes the rows that a whole snapshot lacks.
    pub(super) fn delete_others(&self) -> String {
        format!(
            "DELETE FROM {} AS r WHERE NOT EXISTS (SELECT FROM {} AS f WHERE {}) AND {}",
            self.live,
            self.from,
            self.same("r", "f"),
            self.is_not_aside("r")
        )
    }

    /// Takes over, into a table that takes the place of the one that is there, the rows whose new version was put aside;
    /// `None`: there are none. `types`: those of the table that comes.
    pub(super) fn carry(&self, types: &[(String, String)]) -> Option<String> {
        let aside = self.aside.as_ref()?;
        let is_there =
            |name: &String| self.key.contains(name) || self.values.iter().any(|(known, _)| known == name);
        let both: Vec<_> = types.iter().filter(|(name, _)| is_there(name)).collect();
        let names = quote::names(both.iter().map(|(name, _)| name.as_str()));
        let values: Vec<_> =
            both.iter().map(|(name, kind)| format!("r.{}::text::{kind}", quote::name(name))).collect();
        Some(format!(
            "INSERT INTO {} ({names}) SELECT {} FROM {} AS r WHERE EXISTS (SELECT FROM {aside} AS a WHERE {}) \
             ON CONFLICT DO NOTHING",
            self.from,
            values.join(", "),
            self.live,
            is_key("a", "r", &self.key)
        ))
    }

    /// That a row has none that was put aside: then it stays as it is.
    pub(super) fn is_not_aside(&self, one: &str) -> String {
        let Some(aside) = &self.aside else { return "true".to_owned() };
        format!("NOT EXISTS (SELECT FROM {aside} AS a WHERE {})", is_key("a", one, &self.key))
    }

    /// Of rows of one key, leaves the one that comes first by `order`.
    pub(super) fn once(&self, order: &str) -> String {
        format!(
            "DELETE FROM {from} AS f USING (SELECT ctid AS place, row_number() OVER (PARTITION BY {} ORDER \
             BY {order}) \
             AS number FROM {from}) AS n WHERE f.ctid = n.place AND n.number > 1",
            quote::names(self.key.iter().map(String::as_str)),
            from = self.from
        )
    }

    /// How many keys that are deleted also come as rows. (`EXISTS` would be sought row by row: it is expected
    /// to be found soon, and mostly is not there.)
    pub(super) fn contradictions(&self, action: &str) -> String {
        let action = quote::name(action);
        format!(
            "SELECT count(*) FROM {from} AS d JOIN {from} AS u ON {} \
             WHERE d.{action} = 'D' AND u.{action} = 'U'",
            self.same("d", "u"),
            from = self.from
        )
    }
}

/// That a rejected row, whose key is JSON, is of the key of a row.
pub(super) fn is_key(rejected: &str, row: &str, key: &[String]) -> String {
    let same = |name: &String| {
        format!("{rejected}.key->{} = to_jsonb({row}.{})", quote::text(name), quote::name(name))
    };
    key.iter().map(same).collect::<Vec<_>>().join(" AND ")
}
