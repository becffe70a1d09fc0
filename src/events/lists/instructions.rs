//! Lists whose lines are objects to copy: `bucket,key` as CSV, or what each is asked for as JSON.

use serde_json::{Map, Value};

use super::{Line, Meaning, at_line, broken};
use crate::domain::{
    instruction::Instruction,
    outcome::{ErrorName, Failure},
};

/// Reads the lines of a list of objects.
#[derive(Debug, Default)]
pub struct Instructions {
    /// Whether a line has gone by: only the first may be a header.
    has_begun: bool,
}

impl Meaning for Instructions {
    type Row = Instruction;

    fn read(&mut self, number: u64, line: Line) -> Result<Option<Instruction>, Failure> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let read = match line {
            Line::Object(object) => read(&object).map_err(|failure| at_line(number, failure))?,
            Line::Fields(fields) => {
                let mut fields = fields.into_iter();
                let (Some(bucket), Some(key)) = (fields.next(), fields.next()) else {
                    return Err(broken(number, "has one column: `bucket,key` are wanted"));
                };
                if fields.next().is_some() {
                    return Err(broken(number, "has more than the two columns `bucket,key`"));
                }
                if is_first && bucket.eq_ignore_ascii_case("bucket") && key.eq_ignore_ascii_case("key") {
                    return Ok(None);
                }
                Instruction { bucket, key, ..Instruction::default() }
            }
        };
        read.checked().map(Some).map_err(|failure| at_line(number, failure))
    }
}

fn read(object: &Map<String, Value>) -> Result<Instruction, Failure> {
    let text = |name: &str, error: ErrorName| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Failure::new(error, format!("{name} must be specified as a string"))),
    };
    let unsigned = match object.get("sourceNoSignRequest") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(unsigned)) => *unsigned,
        Some(_) => {
            let message = "sourceNoSignRequest must be true or false";
            return Err(Failure::new(ErrorName::InvokeArgumentsInvariantError, message));
        }
    };
    Ok(Instruction {
        bucket: text("sourceBucket", ErrorName::SourceBucketFieldInvalid)?.unwrap_or_default(),
        key: text("sourceKey", ErrorName::SourceKeyFieldInvalid)?.unwrap_or_default(),
        unsigned,
        root: text("sourceRootFolderKey", ErrorName::InvokeArgumentsInvariantError)?,
        relative: text("destinationRelativeFolderKey", ErrorName::DestinationRelativeFolderKeyFieldInvalid)?,
        sums: text("sums", ErrorName::InvokeArgumentsInvariantError)?,
    })
}
