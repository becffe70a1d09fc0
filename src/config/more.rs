//! Further instances of replicas: a file with a table for each, named after it. What it does not say is as in
//! `[canvas]`, but for whose data they are and where these go, which each says itself.

use std::path::Path;

use secrecy::ExposeSecret as _;
use toml::{Table, Value};

use super::{Settings, Shown, checks, layers::Layers, problems::Origin};
use crate::domain::replica::settings::CanvasSettings;

/// The setting that says where they are.
const KEY: &str = "canvas.more";
/// What no instance has from another: by an oversight, the data of one would go where those of another are.
const OWN: [&str; 7] = [
    "instance",
    "more",
    "client_id",
    "client_secret",
    "credentials_ssm_path",
    "database_url",
    "database_secret_id",
];

/// Reads them into the settings: what each says of itself, secrets left out.
pub(super) fn read(layers: &mut Layers, settings: &mut Settings) -> Vec<Shown> {
    let Some(more) = settings.canvas.more.take() else { return Vec::new() };
    let more = more.expose_secret();
    // A path has no line breaks and no quotes, as any text with a secret has; a container that has no files is given
    // the text itself.
    let (origin, text) = if more.contains(['\n', '"', '\'']) {
        (layers.origin(KEY), Ok(more.to_owned()))
    } else {
        let path = Path::new(more);
        (Origin::File(path.to_owned()), std::fs::read_to_string(path))
    };
    let tables = match text.map_err(|error| format!("cannot be read: {error}")) {
        Ok(text) => text.parse::<Table>().map_err(|error| super::layers::syntax(&text, &error)),
        Err(why) => Err(why),
    };
    let tables = match tables {
        Ok(tables) => tables,
        Err(why) => {
            layers.note(KEY, &origin, why);
            return Vec::new();
        }
    };
    let mut shown = Vec::new();
    for (name, said) in tables {
        let key = format!("{KEY}.{name}");
        match said {
            Value::Table(_) if settings.replicas().any(|of| of.instance == name) => {
                layers.note(&key, &origin, "is the name of another instance");
            }
            Value::Table(said) => {
                let (instance, own) = instance(layers, &name, said, &origin);
                settings.more.extend(instance);
                shown.extend(own);
            }
            _ => layers.note(&key, &origin, "must stand in the table of an instance"),
        }
    }
    for (one, another, namespace) in at_one_place(settings) {
        let why = format!(
            "must not have the namespace `{namespace}` in the same database as the instance `{another}`"
        );
        layers.note(&format!("{KEY}.{one}"), &origin, why);
    }
    shown
}

/// One of them, and what it says.
fn instance(
    layers: &mut Layers,
    name: &str,
    mut said: Table,
    origin: &Origin,
) -> (Option<CanvasSettings>, Vec<Shown>) {
    let named = |key: &str| format!("{KEY}.{name}{}", key.strip_prefix("canvas").unwrap_or_default());
    for taken in ["instance", "more"] {
        if said.remove(taken).is_some() {
            layers.note(&named(&format!("canvas.{taken}")), origin, "cannot be said of a further instance");
        }
    }
    let mut own = layers.section("canvas", &OWN, said, origin);
    let settings = own.read::<Settings>();
    let shown = own.shown(&super::SECRETS).into_iter();
    let shown = shown.filter(|shown| shown.key.starts_with("canvas.") && shown.origin == *origin);
    let shown = shown.map(|shown| Shown { key: named(&shown.key), ..shown }).collect();
    let canvas = settings.map(|mut settings| {
        name.clone_into(&mut settings.canvas.instance);
        checks::note(&mut own, &settings, |key| key.starts_with("canvas."));
        if !settings.canvas.is_on() {
            let why = "must be said of each instance, or credentials_ssm_path";
            own.note("canvas.client_id", origin, why);
        }
        settings.canvas
    });
    for problem in own.into_problems() {
        layers.note(&named(&problem.key), &problem.origin, problem.message);
    }
    (canvas, shown)
}

/// Instances that would write the same tables: their names, and the namespace.
fn at_one_place(settings: &Settings) -> Vec<(String, String, String)> {
    let place = |of: &CanvasSettings| {
        let url = of.database_url.as_ref().map(|url| url.expose_secret().trim().to_owned());
        url.unwrap_or_else(|| of.database_secret_id.clone())
    };
    let all: Vec<&CanvasSettings> = settings.replicas().collect();
    let mut found = Vec::new();
    for (index, one) in all.iter().enumerate() {
        for another in all.iter().take(index) {
            let both = one.namespaces.iter().find(|namespace| another.namespaces.contains(namespace));
            if let Some(namespace) = both
                && place(one) == place(another)
            {
                found.push((one.instance.clone(), another.instance.clone(), namespace.clone()));
            }
        }
    }
    found
}
