//! A schema without `$ref` and `allOf`: what they say is put together into one.

use serde_json::{Map, Value as Json};

/// How many schemas are looked at for one table: many times what a real one has.
const MOST_STEPS: usize = 20_000;
/// How deep references and `allOf` may lie in each other.
const DEEPEST: usize = 16;
/// What takes the place of statements that contradict each other: any value will do.
const ANYTHING: &str = "anyOf";

/// Puts schemas together; looks up references in the document that they are of.
pub(super) struct Flattener<'a> {
    document: &'a Json,
    steps: usize,
}

impl<'a> Flattener<'a> {
    pub(super) const fn new(document: &'a Json) -> Self {
        Self { document, steps: 0 }
    }

    /// The keywords of a schema. What cannot be put together has `anyOf`.
    pub(super) fn flat(&mut self, schema: &Json) -> Map<String, Json> {
        let (mut flat, fits) = self.deep(schema, DEEPEST);
        if !fits {
            flat.insert(ANYTHING.to_owned(), Json::Array(Vec::new()));
        }
        flat
    }

    fn deep(&mut self, schema: &Json, depth: usize) -> (Map<String, Json>, bool) {
        self.steps += 1;
        // `true` is `{}`, and nothing fits `false`.
        let Json::Object(own) = schema else { return (Map::new(), schema == &Json::Bool(true)) };
        let told = |(name, _): &(&String, &Json)| !matches!(name.as_str(), "$ref" | "allOf");
        let mut flat: Map<_, _> =
            own.iter().filter(told).map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut fits = true;
        let mut others: Vec<&Json> = Vec::new();
        match own.get("$ref").map(|reference| self.referred(reference)) {
            None => {}
            Some(Some(target)) => others.push(target),
            Some(None) => fits = false,
        }
        match own.get("allOf") {
            None => {}
            Some(Json::Array(all)) => others.extend(all),
            Some(_) => fits = false,
        }
        for other in others {
            if depth == 0 || self.steps >= MOST_STEPS {
                return (flat, false);
            }
            let (other, other_fits) = self.deep(other, depth - 1);
            fits &= other_fits & merge(&mut flat, other);
        }
        (flat, fits)
    }

    /// What `#/definitions/…` or another place of the same document holds.
    fn referred(&self, reference: &Json) -> Option<&'a Json> {
        self.document.pointer(reference.as_str()?.strip_prefix('#')?)
    }
}

/// Adds what another schema demands; false: no value could be both, or it cannot be told.
fn merge(flat: &mut Map<String, Json>, other: Map<String, Json>) -> bool {
    let mut fits = true;
    for (name, more) in other {
        let Some(there) = flat.get_mut(&name) else {
            flat.insert(name, more);
            continue;
        };
        if *there == more {
            continue;
        }
        match name.as_str() {
            "type" => fits &= both_types(there, &more),
            "maxLength" | "maximum" | "exclusiveMaximum" => closer(there, &more, |a, b| b < a),
            "minLength" | "minimum" | "exclusiveMinimum" => closer(there, &more, |a, b| b > a),
            "enum" => match (there, &more) {
                (Json::Array(there), Json::Array(more)) => there.retain(|label| more.contains(label)),
                _ => fits = false,
            },
            "properties" => match (there, more) {
                (Json::Object(there), Json::Object(more)) => {
                    for (name, property) in more {
                        there.entry(name).or_insert(property);
                    }
                }
                _ => fits = false,
            },
            "required" => match (there, more) {
                (Json::Array(there), Json::Array(more)) => there.extend(more),
                _ => fits = false,
            },
            "format" | "items" | "const" | "contentEncoding" | "oneOf" | "anyOf" => fits = false,
            // Titles, descriptions, defaults: the outermost one counts.
            _ => {}
        }
    }
    fits
}

fn closer(there: &mut Json, more: &Json, is_closer: fn(f64, f64) -> bool) {
    match (there.as_f64(), more.as_f64()) {
        (Some(a), Some(b)) if !is_closer(a, b) => {}
        (_, None) => {}
        _ => there.clone_from(more),
    }
}

/// The types that both name; an integer is a number.
fn both_types(there: &mut Json, more: &Json) -> bool {
    let (mut left, right) = (names(there), names(more));
    left.retain_mut(|name| {
        let number = |name: &Json| name == "number";
        if number(name) && !right.iter().any(number) && right.iter().any(|name| name == "integer") {
            *name = Json::from("integer");
        }
        right.contains(name) || (name == "integer" && right.iter().any(number))
    });
    let fits = !left.is_empty();
    *there = Json::Array(left);
    fits
}

fn names(types: &Json) -> Vec<Json> {
    types.as_array().cloned().unwrap_or_else(|| vec![types.clone()])
}
