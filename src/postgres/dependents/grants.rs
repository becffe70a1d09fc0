//! Who may do what with a view.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Transaction;

use super::{
    Statement, port,
    view::{Found, View},
};
use crate::{ports::replica::Result, postgres::quote};

/// Privileges of views and of their columns, without those that an owner has by default: relation, column,
/// grantor, grantee (none: all), privilege, whether it may be handed on, whether we can grant as the grantor,
/// whether it is one of all that an owner has by default.
const GRANTS: &str = "
    SELECT acl.relation, acl.attname, pg_get_userbyid(given.grantor)::text,
        CASE WHEN given.grantee <> 0 THEN pg_get_userbyid(given.grantee)::text END,
        given.privilege_type, given.is_grantable,
        pg_has_role(given.grantor, CASE WHEN current_setting('server_version_num')::int < 160000
            THEN 'MEMBER' ELSE 'SET' END) AND has_schema_privilege(given.grantor, acl.relnamespace, 'USAGE'),
        acl.attnum = 0 AND given.grantee = acl.relowner AND given.grantor = acl.relowner AND (
            SELECT count(*) FROM aclexplode(acl.list) own
            WHERE own.grantee = acl.relowner AND own.grantor = acl.relowner
        ) = (SELECT count(*) FROM aclexplode(acldefault('r', acl.relowner)))
    FROM (
        SELECT c.oid AS relation, c.relowner, c.relnamespace, 0 AS attnum, NULL::text AS attname,
            coalesce(c.relacl, acldefault('r', c.relowner)) AS list
        FROM pg_class c
        WHERE c.oid = ANY ($1::oid[])
        UNION ALL
        SELECT a.attrelid, c.relowner, c.relnamespace, a.attnum, a.attname::text, a.attacl
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND a.attacl IS NOT NULL
    ) acl
    CROSS JOIN LATERAL aclexplode(acl.list) WITH ORDINALITY
        AS given (grantor, grantee, privilege_type, is_grantable, place)
    ORDER BY acl.relation, acl.attnum, given.place";

/// To whom the session's role gives privileges on each table that it makes.
const BY_DEFAULT: &str = "
    SELECT DISTINCT CASE WHEN given.grantee <> 0 THEN pg_get_userbyid(given.grantee)::text END
    FROM pg_default_acl d
    JOIN pg_roles me ON me.oid = d.defaclrole
    CROSS JOIN LATERAL aclexplode(d.defaclacl) AS given
    WHERE me.rolname = current_user AND d.defaclobjtype = 'r'";

/// A privilege that was given.
#[derive(Debug, Clone)]
struct Grant {
    column: Option<String>,
    grantor: String,
    grantee: Option<String>,
    privilege: String,
    is_grantable: bool,
    can_be_grantor: bool,
    is_by_default: bool,
}

impl Grant {
    /// Whether one statement gives both.
    fn goes_with(&self, other: &Self) -> bool {
        self.column == other.column
            && self.grantor == other.grantor
            && self.grantee == other.grantee
            && self.is_grantable == other.is_grantable
    }
}

/// Reads them into the views, as the last that is done to each.
pub(super) async fn read(
    tx: &Transaction<'_>,
    views: &[u32],
    found: &mut Found,
    notes: &mut Vec<String>,
) -> Result<()> {
    let failed = port("SELECT aclexplode");
    let row = tx.query_one("SELECT current_setting('role')", &[]).await.map_err(&failed)?;
    let role: String = row.try_get(0).map_err(&failed)?;
    let mut by_default = BTreeSet::new();
    for row in tx.query(BY_DEFAULT, &[]).await.map_err(&failed)? {
        by_default.insert(row.try_get::<_, Option<String>>(0).map_err(&failed)?);
    }
    let mut grants: BTreeMap<u32, Vec<Grant>> = BTreeMap::new();
    for row in tx.query(GRANTS, &[&views]).await.map_err(&failed)? {
        let grant = || {
            Ok(Grant {
                column: row.try_get(1)?,
                grantor: row.try_get(2)?,
                grantee: row.try_get(3)?,
                privilege: row.try_get(4)?,
                is_grantable: row.try_get(5)?,
                can_be_grantor: row.try_get(6)?,
                is_by_default: row.try_get(7)?,
            })
        };
        let grant: Result<Grant, tokio_postgres::Error> = grant();
        grants.entry(row.try_get(0).map_err(&failed)?).or_default().push(grant.map_err(&failed)?);
    }
    for (oid, (view, owner)) in found {
        let grants = grants.remove(oid).unwrap_or_default();
        let made = statements(view, owner, grants, &by_default, &role, notes);
        view.then.extend(made);
    }
    Ok(())
}

/// What takes away all that a new view has, and gives what it had.
fn statements(
    view: &View,
    owner: &str,
    grants: Vec<Grant>,
    by_default: &BTreeSet<Option<String>>,
    role: &str,
    notes: &mut Vec<String>,
) -> Vec<Statement> {
    let (ident, name) = (view.ident(), view.name());
    let mut made = Vec::new();
    let is_whole = by_default.is_empty() && grants.iter().any(|grant| grant.is_by_default);
    if !is_whole {
        let owner_itself = Some(owner.to_owned());
        let all: BTreeSet<&Option<String>> = by_default.iter().chain([&owner_itself]).collect();
        let all: Vec<String> = all.into_iter().map(|one| shown(one.as_deref())).collect();
        made.push(view.again(format!("REVOKE ALL ON {ident} FROM {}", all.join(", "))));
    }
    let wanted = grants.into_iter().filter(|grant| !(is_whole && grant.is_by_default)).collect();
    for same in in_order(owner, wanted).chunk_by(Grant::goes_with) {
        let Some(Grant { column, grantor, grantee, is_grantable, can_be_grantor, .. }) = same.first() else {
            continue;
        };
        let column = column.as_ref().map(|column| format!(" ({})", quote::name(column))).unwrap_or_default();
        let privileges: Vec<String> = same.iter().map(|grant| grant.privilege.clone() + &column).collect();
        let privileges = privileges.join(", ");
        // The owner has the right to hand on in any case.
        let is_option = *is_grantable && grantee.as_deref() != Some(owner);
        let option = if is_option { " WITH GRANT OPTION" } else { "" };
        let sql = format!("GRANT {privileges} ON {ident} TO {}{option}", shown(grantee.as_deref()));
        if grantor == owner {
            made.push(view.again(sql));
        } else if *can_be_grantor {
            let back = if role == "none" { "NONE".to_owned() } else { quote::name(role) };
            made.push(view.again(format!("SET LOCAL ROLE {}", quote::name(grantor))));
            made.push(view.again(sql));
            made.push(view.again(format!("SET LOCAL ROLE {back}")));
        } else {
            notes.push(format!(
                "{privileges} on {name}, which {grantor} had given, is given by its owner now"
            ));
            made.push(view.again(sql));
        }
    }
    made
}

fn shown(role: Option<&str>) -> String {
    role.map_or_else(|| "PUBLIC".to_owned(), quote::name)
}

/// Privileges in an order in which each grantor already has what it gives.
fn in_order(owner: &str, grants: Vec<Grant>) -> Vec<Grant> {
    let mut order: Vec<Grant> = Vec::with_capacity(grants.len());
    let mut rest = grants;
    while !rest.is_empty() {
        let may_give = |grant: &Grant| {
            let has = |one: &Grant| {
                let is_wide_enough = one.column.is_none() || one.column == grant.column;
                one.is_grantable
                    && one.privilege == grant.privilege
                    && is_wide_enough
                    && one.grantee.as_ref() == Some(&grant.grantor)
            };
            grant.grantor == owner || order.iter().any(has)
        };
        let (ready, waiting): (Vec<Grant>, Vec<Grant>) = rest.into_iter().partition(may_give);
        if ready.is_empty() {
            order.extend(waiting);
            break;
        }
        order.extend(ready);
        rest = waiting;
    }
    order
}
