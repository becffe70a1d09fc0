//! A small school: eight tables of `canvas`, and `canvas_logs.web_logs`, whose rows come twice.
//!
//! | commit | what it brings |
//! | --- | --- |
//! | 0 | everybody |
//! | 1 | grades, new submissions, students who leave, a course that gets another name |
//! | 2 | `courses.name` from 255 to 500 characters, a column `users.pronouns`, a new state of enrollments |
//!
//! They happened 9, 5 and 1 hours before the time that is given.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    state::text_of,
    world::{DapWorld, Fields, WorldChange, WorldCommit, WorldSchema, WorldTable},
};

const STUDENTS: i64 = 240;
const TEACHERS: i64 = 10;
const COURSES: i64 = 24;
const ASSIGNMENTS: i64 = 4 * COURSES;
/// Requests of a commit.
const REQUESTS: i64 = 300;

const GIVEN: [&str; 16] = [
    "Ada", "Björn", "Chiara", "Dmitri", "Esra", "Fatou", "Grace", "Hana", "Ivo", "Jūlija", "Kofi", "Łucja",
    "María", "Ngozi", "Ótama", "Priya",
];
const FAMILY: [&str; 15] = [
    "Abara", "Bauer", "Castro", "Dupont", "Eze", "Fischer", "García", "Hopper", "Ito", "Jensen", "Kowalski",
    "Lovelace", "Müller", "O'Neill", "Popescu",
];
const SUBJECTS: [&str; 8] =
    ["Botany", "Calculus", "Drama", "Ecology", "French", "Genetics", "History", "Linear Algebra"];

/// The school at that time.
pub fn world(now: Timestamp) -> DapWorld {
    let at = [9, 5, 1].map(|hours| {
        let at = now.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN);
        text_of(Timestamp::from_second(at.as_second()).unwrap_or(at))
    });
    let tables = [accounts(&at), terms(&at), users(&at), pseudonyms(&at), courses(&at), enrollments(&at)];
    let more = [assignments(&at), submissions(&at), web_logs(&at)];
    DapWorld { tables: tables.into_iter().chain(more).collect() }
}

type Times = [String; 3];
type Changes = Vec<WorldChange>;

fn accounts(at: &Times) -> WorldTable {
    let columns = json!({
        "name": text(255), "parent_account_id": id("The account above."), "workflow_state": states(&["active", "deleted"]),
        "storage_quota": {"type": "integer", "format": "int64"}, "default_locale": text(255), "created_at": moment(),
    });
    let rows = (1..=5).map(|n| {
        let name = if n == 1 { "School".to_owned() } else { format!("Department {}", n - 1) };
        let above = (n > 1).then_some(1);
        put(n, json!({
            "name": name, "parent_account_id": above, "workflow_state": "active", "storage_quota": 524_288_000,
            "default_locale": null, "created_at": "2019-08-01T08:00:00.000Z",
        }))
    });
    table(
        "accounts",
        "Accounts: the school and its departments.",
        columns,
        &["name"],
        at,
        [rows.collect(), vec![], vec![]],
    )
}

fn terms(at: &Times) -> WorldTable {
    let columns = json!({
        "name": text(255), "root_account_id": id("The school."), "sis_source_id": text(255), "start_at": moment(),
        "end_at": moment(), "workflow_state": states(&["active", "deleted"]),
    });
    let rows = (1..=6).map(|n| {
        let (year, autumn) = (2024 + n / 2, n % 2 == 1);
        put(n, json!({
            "name": format!("{} {year}", if autumn { "Autumn" } else { "Spring" }), "root_account_id": 1,
            "sis_source_id": format!("{year}{}", if autumn { "A" } else { "S" }),
            "start_at": format!("{year}-0{}-01T00:00:00.000Z", if autumn { 9 } else { 2 }), "end_at": null,
            "workflow_state": "active",
        }))
    });
    table("enrollment_terms", "Terms.", columns, &["root_account_id"], at, [rows.collect(), vec![], vec![]])
}

fn users(at: &Times) -> WorldTable {
    let first = json!({
        "name": text(255), "sortable_name": text(255), "workflow_state": states(&["registered", "pre_registered", "deleted"]),
        "time_zone": text(255), "created_at": moment(), "public": {"type": "boolean", "default": false},
        "preferences": {"type": "object", "additionalProperties": false, "properties": {
            "locale": {"type": "string"}, "dashboard": {"type": "string"}, "colour_blind": {"type": "boolean"},
        }},
    });
    let mut second = first.clone();
    if let Value::Object(second) = &mut second {
        let column = json!({"type": "string", "maxLength": 64, "title": "How the user is spoken of."});
        second.insert("pronouns".to_owned(), column);
    }
    let row = |n: i64, pronouns: Option<&str>| {
        let (given, family) = (of(&GIVEN, n), of(&FAMILY, n / 3));
        let mut row = json!({
            "name": format!("{given} {family}"), "sortable_name": format!("{family}, {given}"),
            "workflow_state": if n % 50 == 0 { "pre_registered" } else { "registered" },
            "time_zone": if n % 4 == 0 { json!("Europe/Berlin") } else { Value::Null },
            "created_at": day(n), "public": n % 7 == 0,
            "preferences": if n % 3 == 0 { json!({"locale": "de", "dashboard": "cards", "colour_blind": null}) } else { Value::Null },
        });
        if let (Some(pronouns), Value::Object(row)) = (pronouns, &mut row) {
            row.insert("pronouns".to_owned(), json!(pronouns));
        }
        put(n, row)
    };
    let everybody = (1..=STUDENTS + TEACHERS).map(|n| row(n, None)).collect();
    let left = (1..=STUDENTS).filter(|n| n % 60 == 0).map(gone).collect();
    let spoken = (1..=30).map(|n| row(n, Some(if n % 2 == 0 { "they/them" } else { "she/her" }))).collect();
    let schemas = [(1, first), (2, second)];
    versions(
        "users",
        "Users: students and teachers.",
        &schemas,
        &["workflow_state"],
        at,
        [everybody, left, spoken],
    )
}

fn pseudonyms(at: &Times) -> WorldTable {
    let columns = json!({
        "user_id": id("Whose login it is."), "account_id": id("Where."), "unique_id": text(255), "sis_user_id": text(255),
        "workflow_state": states(&["active", "suspended", "deleted"]), "current_login_at": moment(),
        "current_login_ip": {"type": "string", "format": "ipv4"},
    });
    let row = |n: i64, seen: &str| {
        put(
            n,
            json!({
                "user_id": n, "account_id": 1, "unique_id": format!("user{n}@school.example"),
                "sis_user_id": format!("S{n:06}"), "workflow_state": "active", "current_login_at": seen,
                "current_login_ip": format!("192.0.2.{}", n % 250),
            }),
        )
    };
    let all = (1..=STUDENTS + TEACHERS).map(|n| row(n, &day(n))).collect();
    let again =
        (1..=STUDENTS).filter(|n| n % 3 == 0).map(|n| if n % 60 == 0 { gone(n) } else { row(n, &at[1]) });
    let required = ["user_id", "account_id", "unique_id"];
    table("pseudonyms", "Logins of users.", columns, &required, at, [all, again.collect(), vec![]])
}

fn courses(at: &Times) -> WorldTable {
    let columns = |longest: u64| {
        json!({
            "name": text(longest), "course_code": text(255), "account_id": id("Whose it is."),
            "enrollment_term_id": id("When it is."), "sis_source_id": text(255), "is_public": {"type": "boolean"},
            "workflow_state": states(&["claimed", "available", "completed", "deleted"]), "created_at": moment(),
            "storage_quota": {"type": "integer", "format": "int64"},
        })
    };
    let row = |n: i64, name: &str| {
        put(
            n,
            json!({
                "name": name, "course_code": format!("{}-{n}", of(&SUBJECTS, n).to_uppercase().replace(' ', "-")),
                "account_id": 2 + n % 4, "enrollment_term_id": 1 + n % 6, "sis_source_id": format!("C{n:04}"),
                "is_public": n % 9 == 0, "workflow_state": if n % 6 == 0 { "completed" } else { "available" },
                "created_at": day(n), "storage_quota": if n % 5 == 0 { json!(1_073_741_824) } else { Value::Null },
            }),
        )
    };
    let named = |n: i64| format!("{} {}", of(&SUBJECTS, n), 1 + n / 8);
    let all = (1..=COURSES).map(|n| row(n, &named(n))).collect();
    let renamed = vec![row(3, "Field Ecology"), gone(24)];
    let long = format!(
        "Genetics: {}",
        ["heredity", "variation", "populations"].map(|part| part.repeat(14)).join("; ")
    );
    let longer = vec![row(5, &long)];
    let schemas = [(1, columns(255)), (2, columns(500))];
    let required = ["account_id", "workflow_state"];
    versions("courses", "Courses.", &schemas, &required, at, [all, renamed, longer])
}

fn enrollments(at: &Times) -> WorldTable {
    let columns = |more: &[&str]| {
        let known = ["active", "invited", "completed", "deleted"];
        json!({
            "user_id": id("Who."), "course_id": id("In which course."),
            "type": states(&["StudentEnrollment", "TeacherEnrollment", "TaEnrollment", "ObserverEnrollment"]),
            "workflow_state": states(&[&known, more].concat()), "last_activity_at": moment(),
            "total_activity_time": {"type": "integer", "format": "int32"}, "created_at": moment(),
        })
    };
    let row = |n: i64, state: &str| {
        let teaches = n > 2 * STUDENTS;
        let user = if teaches { STUDENTS + 1 + n % TEACHERS } else { 1 + n % STUDENTS };
        put(
            n,
            json!({
                "user_id": user, "course_id": 1 + (n * 7) % COURSES,
                "type": if teaches { "TeacherEnrollment" } else { "StudentEnrollment" }, "workflow_state": state,
                "last_activity_at": day(n), "total_activity_time": (n * 37) % 90_000, "created_at": day(n),
            }),
        )
    };
    let all = (1..=2 * STUDENTS + COURSES)
        .map(|n| row(n, if n % 40 == 0 { "invited" } else { "active" }))
        .collect();
    let left = (1..=STUDENTS)
        .filter(|n| n % 20 == 0)
        .map(|n| if n % 60 == 0 { gone(n) } else { row(n, "completed") });
    let idle = (1..=8).map(|n| row(n, "inactive")).collect();
    let schemas = [(1, columns(&[])), (2, columns(&["inactive"]))];
    let required = ["user_id", "course_id", "type", "workflow_state"];
    versions("enrollments", "Who is in which course.", &schemas, &required, at, [all, left.collect(), idle])
}

fn assignments(at: &Times) -> WorldTable {
    let points = json!({
        "type": "number", "multipleOf": 0.01, "exclusiveMinimum": -1e10, "exclusiveMaximum": 1e10,
    });
    let columns = json!({
        "title": text(255), "description": {"type": "string"}, "context_id": id("The course."), "due_at": moment(),
        "points_possible": points, "submission_types": {"type": "array", "items": {"type": "string"}},
        "grading_type": states(&["points", "percent", "letter_grade", "pass_fail"]),
        "workflow_state": states(&["published", "unpublished", "deleted"]),
    });
    let rows = (1..=ASSIGNMENTS).map(|n| {
        put(n, json!({
            "title": format!("Assignment {}", 1 + n % 4), "description": format!("<p>Read chapter {n}.</p>\n<p>Then\twrite.</p>"),
            "context_id": 1 + n % COURSES, "due_at": day(n), "points_possible": 10.5,
            "submission_types": if n % 2 == 0 { json!(["online_upload", "online_url"]) } else { json!(["on_paper"]) },
            "grading_type": if n % 5 == 0 { "pass_fail" } else { "points" }, "workflow_state": "published",
        }))
    });
    table(
        "assignments",
        "Assignments of courses.",
        columns,
        &["context_id"],
        at,
        [rows.collect(), vec![], vec![]],
    )
}

fn submissions(at: &Times) -> WorldTable {
    let columns = json!({
        "assignment_id": id("For what."), "user_id": id("By whom."), "submitted_at": moment(), "body": {"type": "string"},
        "score": {"type": "number", "format": "float64"}, "grade": text(255), "excused": {"type": "boolean"},
        "workflow_state": states(&["unsubmitted", "submitted", "pending_review", "graded", "deleted"]),
    });
    let row = |n: i64, score: Option<f64>| {
        let state = if score.is_some() { "graded" } else { "submitted" };
        put(
            n,
            json!({
                "assignment_id": 1 + n % ASSIGNMENTS, "user_id": 1 + n % STUDENTS, "submitted_at": day(n),
                "body": format!("My answer is {n}.\nIt has \"two\" lines."), "score": score,
                "grade": score.map(|score| score.to_string()), "excused": false, "workflow_state": state,
            }),
        )
    };
    let all = (1..=600).map(|n| row(n, None)).collect();
    let score = |n: i32| row(n.into(), Some(f64::from(n % 42) / 4.0));
    let graded = (1..=400).map(score).chain((601..=640).map(|n| row(n, None))).collect();
    let withdrawn = (1..=10).map(|n| gone(n * 7)).collect();
    let required = ["assignment_id", "user_id"];
    let mut table =
        table("submissions", "What students hand in.", columns, &required, at, [all, graded, withdrawn]);
    table.rows_per_part = 250;
    table
}

fn web_logs(at: &Times) -> WorldTable {
    let columns = json!({
        "timestamp": moment(), "user_id": id("Who asked."), "url": {"type": "string"},
        "http_method": text(10), "http_status": {"type": "integer", "format": "int32"},
    });
    let changes = [0, 1, 2].map(|commit: i64| {
        let row = |n: i64| WorldChange {
            key: fields(json!({"id": format!("00000000-0000-4000-8000-{:012}", commit * REQUESTS + n)})),
            value: Some(fields(json!({
                "timestamp": day(n), "user_id": 1 + n % STUDENTS, "url": format!("/courses/{}", 1 + n % COURSES),
                "http_method": "GET", "http_status": if n % 30 == 0 { 404 } else { 200 },
            }))),
        };
        (0..REQUESTS).map(row).collect()
    });
    let mut table = table("web_logs", "Requests.", columns, &[], at, changes);
    "canvas_logs".clone_into(&mut table.namespace);
    table.key = fields(json!({"id": {"type": "string", "format": "uuid"}}));
    table.twice = true;
    table
}

fn table(
    name: &str,
    title: &str,
    value: Value,
    required: &[&str],
    at: &Times,
    changes: [Changes; 3],
) -> WorldTable {
    versions(name, title, &[(1, value)], required, at, changes)
}

/// A table whose last schema is in force from the last commit on.
fn versions(
    name: &str,
    title: &str,
    schemas: &[(i64, Value)],
    required: &[&str],
    at: &Times,
    changes: [Changes; 3],
) -> WorldTable {
    let last = schemas.last().map_or(1, |(version, _)| *version);
    let required: Vec<_> = required.iter().map(ToString::to_string).collect();
    let schema = |(version, value): &(i64, Value)| WorldSchema {
        version: *version,
        title: Some(title.to_owned()),
        description: None,
        value: fields(value.clone()),
        required: required.clone(),
    };
    let commits = at.iter().zip([1, 1, last]).zip(changes);
    WorldTable {
        namespace: "canvas".to_owned(),
        name: name.to_owned(),
        key: fields(json!({"id": id("The ID. Primary key.")})),
        schemas: schemas.iter().map(schema).collect(),
        commits: commits
            .map(|((at, version), changes)| WorldCommit { at: at.clone(), version, changes })
            .collect(),
        rows_per_part: 100_000,
        twice: false,
    }
}

fn put(number: i64, row: Value) -> WorldChange {
    WorldChange { key: fields(json!({"id": number})), value: Some(fields(row)) }
}

fn gone(number: i64) -> WorldChange {
    WorldChange { key: fields(json!({"id": number})), value: None }
}

fn fields(value: Value) -> Fields {
    if let Value::Object(fields) = value { fields } else { Fields::new() }
}

fn text(longest: u64) -> Value {
    json!({"type": "string", "maxLength": longest})
}

fn id(title: &str) -> Value {
    json!({"type": "integer", "format": "int64", "title": title})
}

fn moment() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn states(names: &[&str]) -> Value {
    json!({"type": "string", "enum": names})
}

fn of<'a>(words: &[&'a str], number: i64) -> &'a str {
    let place = usize::try_from(number).unwrap_or_default() % words.len().max(1);
    words.get(place).copied().unwrap_or_default()
}

/// A time of a lecture.
fn day(number: i64) -> String {
    format!("2025-{:02}-{:02}T{:02}:15:00.000Z", 1 + number % 12, 1 + number % 28, 8 + number % 10)
}
