//! A policy: read strictly, and kept in the form in which it is evaluated. Source: "Grammar of the IAM JSON policy language"
//! (`reference_policies_grammar`) of the IAM user guide.

use super::actions::{Actions, AskedAction, Sieve, action};
use super::arn::{ArnParts, ArnPattern};
use super::condition::Condition;
use super::context::Context;
use super::error::{Place, PolicyError, Spot};
use super::pattern::Pattern;
use super::principal::{Caller, Parties, Party, Reach};
use super::tree::Tree;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes of a document at the most, whatever its service allows.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// Statements of a document at the most.
pub const STATEMENTS_MAX: usize = 1_000;
/// Entries of one list at the most.
const LIST_MAX: usize = 4_096;

/// What a document is attached to: which elements it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// To a user, group or role, or as boundary or session policy: nobody is named in it.
    Identity,
    /// To a resource: it names whom it is for.
    Resource,
    /// To a role, as its trust policy: it names whom it is for, and no resource.
    Trust,
}

/// What a statement does to a request that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It allows it.
    Allow,
    /// It denies it, whatever allows it.
    Deny,
}

/// The version of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// 2008-10-17: no policy variables. What a document without a version has.
    First,
    /// 2012-10-17
    Second,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Resources {
    negated: bool,
    list: Box<[ArnPattern]>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    sid: Option<Box<str>>,
    pub(super) effect: Effect,
    parties: Option<Parties>,
    actions: Actions,
    resources: Option<Resources>,
    conditions: Box<[Condition]>,
}

/// A policy, ready to be evaluated. The text that it was read from is its owner's to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    id: Option<Box<str>>,
    pub(super) statements: Box<[Statement]>,
    /// Of each statement, what it can be about.
    sieves: Box<[Sieve]>,
}

/// What a statement is asked.
#[derive(Clone, Copy)]
pub(super) struct Matter<'a> {
    pub(super) caller: Caller<'a>,
    /// Whether the caller has a permissions boundary.
    pub(super) bounded: bool,
    pub(super) action: &'a AskedAction,
    pub(super) resource: ArnParts<'a>,
    pub(super) context: &'a dyn Context,
}

/// Something of a document that its service may know better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// Where it stands.
    pub place: Place,
    /// What stands there.
    pub what: T,
}

impl Policy {
    /// Reads a document of at most `bytes_max` bytes.
    pub fn parse(text: &str, form: Form, bytes_max: usize) -> Result<Self, PolicyError> {
        let bytes_max = bytes_max.min(DOCUMENT_BYTES_MAX);
        if text.len() > bytes_max {
            let detail = format!("{} bytes; at most {bytes_max} are taken", text.len());
            return Err(PolicyError::at(&Spot::Document, detail));
        }
        let tree = Tree::parse(text)?;
        let root = Members::of(&tree, &Spot::Document, &["Version", "Id", "Statement"])?;
        let version = match root.text("Version")? {
            None | Some("2008-10-17") => Version::First,
            Some("2012-10-17") => Version::Second,
            Some(other) => {
                let detail = format!("{other:?} is no version: 2012-10-17 is, and 2008-10-17");
                return Err(PolicyError::at(&Spot::Document.member("Version"), detail));
            }
        };
        let id = root.text("Id")?.map(Into::into);
        let spot = Spot::Document.member("Statement");
        let statements = match root.get("Statement") {
            None => return Err(PolicyError::at(&Spot::Document, "Statement is missing")),
            Some(Tree::List(items)) if items.is_empty() => {
                return Err(PolicyError::at(&spot, "the list is empty"));
            }
            Some(Tree::List(items)) if items.len() > STATEMENTS_MAX => {
                let detail = format!("{} statements; at most {STATEMENTS_MAX} are taken", items.len());
                return Err(PolicyError::at(&spot, detail));
            }
            Some(Tree::List(items)) => {
                let read = |(at, item)| Statement::parse(item, form, version, &spot.item(at));
                items.iter().enumerate().map(read).collect::<Result<Box<[_]>, _>>()?
            }
            Some(one) => Box::new([Statement::parse(one, form, version, &spot)?]),
        };
        if form == Form::Identity {
            check_sids(&statements)?;
        }
        Ok(Self::of(id, statements))
    }

    fn of(id: Option<Box<str>>, statements: Box<[Statement]>) -> Self {
        let sieves = statements.iter().map(|statement| statement.actions.sieve()).collect();
        Self { id, statements, sieves }
    }

    /// The statements that may be about an action, each with its number.
    pub(super) fn about(&self, action: &AskedAction) -> impl Iterator<Item = (usize, &Statement)> {
        let candidate = |(index, sieve): (usize, &Sieve)| sieve.may_take(action).then_some(index);
        let through = self.sieves.iter().enumerate().filter_map(candidate);
        through.filter_map(|index| Some((index, self.statements.get(index)?)))
    }

    /// What denies everything to everybody: what stands for a document that can't be read.
    pub fn denying_all() -> Self {
        let statement = Statement {
            sid: None,
            effect: Effect::Deny,
            parties: Some(Parties { negated: false, list: Box::new([Party::Everybody]) }),
            // Actions but none.
            actions: Actions::new(true, Box::default()),
            resources: Some(Resources { negated: false, list: Box::new([ArnPattern::Any]) }),
            conditions: Box::default(),
        };
        Self::of(None, Box::new([statement]))
    }

    /// What allows everything to one: what a grant is to the evaluation.
    pub(crate) fn allowing(arn: &str) -> Result<Self, PolicyError> {
        let named = Tree::Object(vec![("AWS".to_owned(), Tree::Text(arn.to_owned()))]);
        let statement = Statement {
            sid: None,
            effect: Effect::Allow,
            parties: Some(Parties::parse(&named, false, &Spot::Document)?),
            actions: Actions::new(true, Box::default()),
            resources: Some(Resources { negated: false, list: Box::new([ArnPattern::Any]) }),
            conditions: Box::default(),
        };
        Ok(Self::of(None, Box::new([statement])))
    }

    /// Its Id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The Sid of a statement.
    pub fn sid(&self, statement: usize) -> Option<&str> {
        self.statements.get(statement)?.sid.as_deref()
    }

    /// Everybody that it names.
    pub fn parties(&self) -> impl Iterator<Item = Named<&Party>> {
        self.each("Principal", |statement| {
            statement.parties.iter().flat_map(|parties| &*parties.list).collect()
        })
    }

    /// Every condition key that it asks for, in lower case.
    pub fn keys(&self) -> impl Iterator<Item = Named<&str>> {
        self.each("Condition", |statement| statement.conditions.iter().map(Condition::key).collect())
    }

    /// The first condition key, in lower case, of which no action of its statement has anything: of all actions that there are. Such a
    /// condition says the same of every request. A statement about no action at all does nothing anyhow. `has` says of a key, in the
    /// order of the actions, whether each has it.
    pub fn keys_in_vain<'p>(
        &'p self,
        actions: &[&str],
        has: impl Fn(&str) -> Arc<[bool]>,
    ) -> Option<Named<&'p str>> {
        let actions: Vec<AskedAction> = actions.iter().map(|action| AskedAction::new(action)).collect();
        let vain = move |statement: &'p Statement| {
            let keys: BTreeSet<&str> = statement.conditions.iter().map(Condition::key).collect();
            if keys.is_empty() {
                return Vec::new();
            }
            let is_about = |action: &AskedAction| statement.actions.take(action, &super::NoContext);
            let about: Vec<bool> = actions.iter().map(is_about).collect();
            let asks = |key: &&str| has(key).iter().zip(&about).any(|(has, about)| *has && *about);
            keys.into_iter().filter(|key| about.contains(&true) && !asks(key)).collect()
        };
        self.each("Condition", vain).next()
    }

    /// Whether a statement could allow something of a service.
    pub fn could_allow(&self, service: &str) -> bool {
        let mut allows = self.statements.iter().filter(|statement| statement.effect == Effect::Allow);
        allows.any(|statement| statement.actions.may_be_of(service))
    }

    /// Bytes that it takes in memory, about.
    pub fn heap_bytes(&self) -> usize {
        let of_id = |id: &Option<Box<str>>| id.as_deref().map_or(0, str::len);
        let statements = self.statements.iter().map(|statement| {
            let Statement { sid, effect: _, parties, actions, resources, conditions } = statement;
            let resources = resources.as_ref().map(|resources| {
                size_of_val(&*resources.list)
                    + resources.list.iter().map(ArnPattern::heap_bytes).sum::<usize>()
            });
            size_of::<Statement>()
                + of_id(sid)
                + parties.as_ref().map_or(0, Parties::heap_bytes)
                + actions.heap_bytes()
                + resources.unwrap_or_default()
                + size_of_val(&**conditions)
                + conditions.iter().map(Condition::heap_bytes).sum::<usize>()
        });
        of_id(&self.id) + size_of_val(&*self.sieves) + statements.sum::<usize>()
    }

    /// Whatever stands under Action and `NotAction` and is none of these actions, with or without wildcards: a document may be set with it,
    /// and whoever sets it ought to be told.
    pub fn actions_beside<'p>(&'p self, known: &[&str]) -> Vec<Named<&'p str>> {
        let is_known = |pattern: &&Pattern| {
            known.iter().any(|action| pattern.matches(action, &super::NoContext) == Some(true))
        };
        let unknown = self.each("Action", |statement| {
            let beside = statement.actions.list().iter().filter(|pattern| !is_known(pattern));
            beside.map(Pattern::as_str).collect()
        });
        unknown.collect()
    }

    /// The statements whose resource can be neither the thing of this service and name nor anything that begins with it and a slash.
    pub fn resources_beside(&self, service: &str, name: &str) -> Vec<Named<()>> {
        let below = format!("{name}/");
        let about =
            |pattern: &ArnPattern| pattern.could_be(service, name) || pattern.could_begin(service, &below);
        let beside = self.each("Resource", |statement| {
            let patterns = statement.resources.iter().flat_map(|resources| &*resources.list);
            patterns.filter(|pattern| !about(pattern)).map(|_| ()).collect()
        });
        beside.collect()
    }

    /// What `of` finds in each statement, with its place.
    fn each<'p, T: 'p>(
        &'p self,
        member: &'static str,
        of: impl Fn(&'p Statement) -> Vec<T>,
    ) -> impl Iterator<Item = Named<T>> {
        self.statements.iter().enumerate().flat_map(move |(at, statement)| {
            let place = move || Place::Path(format!("Statement[{at}].{member}"));
            of(statement).into_iter().map(move |what| Named { place: place(), what })
        })
    }
}

impl Statement {
    fn parse(tree: &Tree, form: Form, version: Version, spot: &Spot<'_>) -> Result<Self, PolicyError> {
        const ELEMENTS: [&str; 9] = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        let members = Members::of(tree, spot, &ELEMENTS)?;
        let variables = version == Version::Second;
        let effect = match members.text("Effect")? {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            Some(other) => {
                let detail = format!("{other:?} is no effect: Allow and Deny are");
                return Err(PolicyError::at(&spot.member("Effect"), detail));
            }
            None => return Err(PolicyError::at(spot, "Effect is missing: Allow or Deny")),
        };
        let parties = members.either("Principal", "NotPrincipal", form != Form::Identity)?;
        let parties = parties.map(|(tree, negated, name)| Parties::parse(tree, negated, &spot.member(name)));
        let parties = parties.transpose()?;
        if effect == Effect::Allow && parties.as_ref().is_some_and(|parties| parties.negated) {
            let detail = "an Allow for everybody but somebody is not taken: NotPrincipal goes with Deny";
            return Err(PolicyError::at(&spot.member("NotPrincipal"), detail));
        }
        let (tree, negated, name) = members
            .either("Action", "NotAction", true)?
            .ok_or_else(|| PolicyError::at(spot, "Action or NotAction is missing"))?;
        let read = |text: &str, spot: &Spot<'_>| action(text).map_err(|detail| PolicyError::at(spot, detail));
        let actions = Actions::new(negated, list(tree, &spot.member(name), read)?);
        let read = |text: &str, spot: &Spot<'_>| {
            ArnPattern::parse(text, variables, true).map_err(|detail| PolicyError::at(spot, detail))
        };
        let resources = members.either("Resource", "NotResource", form != Form::Trust)?;
        let resources = resources.map(|(tree, negated, name)| {
            Ok(Resources { negated, list: list(tree, &spot.member(name), read)? })
        });
        let conditions = match members.get("Condition") {
            None => Box::default(),
            Some(tree) => Condition::parse_all(tree, variables, &spot.member("Condition"))?,
        };
        let sid = members.text("Sid")?.map(Into::into);
        Ok(Self { sid, effect, parties, actions, resources: resources.transpose()?, conditions })
    }

    /// How far the statement reaches the caller, if it is about the matter at all.
    pub(super) fn reach(&self, matter: &Matter<'_>) -> Option<Reach> {
        let context = matter.context;
        if !self.actions.take(matter.action, context) {
            return None;
        }
        let reach = match &self.parties {
            None => Reach::Caller,
            Some(parties) => parties.reach(matter.caller, matter.bounded)?,
        };
        let about = self.resources.as_ref().is_none_or(|resources| {
            if !resources.negated {
                return resources.list.iter().any(|pattern| pattern.is_match(matter.resource, context));
            }
            let (mut named, mut sure) = (false, true);
            for pattern in &resources.list {
                match pattern.matches(matter.resource, context) {
                    Some(matched) => named |= matched,
                    None => sure = false,
                }
            }
            // Without a variable's value nobody knows what is left out: no Allow comes of that.
            !named && (sure || self.effect == Effect::Deny)
        });
        let holds = about && self.conditions.iter().all(|condition| condition.holds(context, self.effect));
        holds.then_some(reach)
    }

    /// Whom it is for, where it says so.
    pub(super) const fn parties(&self) -> Option<&Parties> {
        self.parties.as_ref()
    }

    pub(super) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// Sids of an identity's policy are letters and digits, each once.
fn check_sids(statements: &[Statement]) -> Result<(), PolicyError> {
    let mut known = std::collections::HashSet::new();
    for (at, sid) in statements.iter().enumerate().filter_map(|(at, one)| Some((at, one.sid.as_deref()?))) {
        let place = Place::Path(format!("Statement[{at}].Sid"));
        if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(PolicyError { place, detail: format!("{sid:?} has more than letters and digits") });
        }
        if !sid.is_empty() && !known.insert(sid) {
            return Err(PolicyError { place, detail: format!("{sid:?} is another statement's too") });
        }
    }
    Ok(())
}

/// A string, or a list of strings.
pub(super) fn texts<'t>(tree: &'t Tree, spot: &Spot<'_>) -> Result<Vec<&'t str>, PolicyError> {
    match tree {
        Tree::Text(text) => Ok(vec![text]),
        Tree::List(items) if items.is_empty() => Err(PolicyError::at(spot, "the list is empty")),
        Tree::List(items) if items.len() > LIST_MAX => {
            Err(PolicyError::at(spot, format!("{} entries; at most {LIST_MAX} are taken", items.len())))
        }
        Tree::List(items) => {
            let text = |(at, item): (usize, &'t Tree)| match item {
                Tree::Text(text) => Ok(text.as_str()),
                other => Err(PolicyError::at(&spot.item(at), format!("{} is no string", other.kind()))),
            };
            items.iter().enumerate().map(text).collect()
        }
        other => Err(PolicyError::at(spot, format!("{} is no string and no list of strings", other.kind()))),
    }
}

fn list<T>(
    tree: &Tree,
    spot: &Spot<'_>,
    read: impl Fn(&str, &Spot<'_>) -> Result<T, PolicyError>,
) -> Result<Box<[T]>, PolicyError> {
    let is_list = matches!(tree, Tree::List(_));
    let read = |(at, text)| {
        let item = spot.item(at);
        read(text, if is_list { &item } else { spot })
    };
    texts(tree, spot)?.into_iter().enumerate().map(read).collect()
}

/// The members of an object of which all are known.
struct Members<'t> {
    list: &'t [(String, Tree)],
    spot: &'t Spot<'t>,
}

impl<'t> Members<'t> {
    fn of(tree: &'t Tree, spot: &'t Spot<'t>, known: &[&str]) -> Result<Self, PolicyError> {
        let Tree::Object(list) = tree else {
            return Err(PolicyError::at(spot, format!("{} is no object", tree.kind())));
        };
        match list.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(Self { list, spot }),
            Some((name, _)) => {
                Err(PolicyError::at(spot, format!("{name:?} is not known here: {} are", known.join(", "))))
            }
        }
    }

    fn get(&self, name: &str) -> Option<&'t Tree> {
        self.list.iter().find(|(known, _)| known == name).map(|(_, tree)| tree)
    }

    fn text(&self, name: &str) -> Result<Option<&'t str>, PolicyError> {
        match self.get(name) {
            None => Ok(None),
            Some(Tree::Text(text)) => Ok(Some(text)),
            Some(other) => {
                Err(PolicyError::at(&self.spot.member(name), format!("{} is no string", other.kind())))
            }
        }
    }

    /// An element or its opposite: one of both where it is `wanted`, else neither.
    fn either(
        &self,
        plain: &'static str,
        negated: &'static str,
        wanted: bool,
    ) -> Result<Option<(&'t Tree, bool, &'static str)>, PolicyError> {
        match (self.get(plain), self.get(negated)) {
            (Some(_), Some(_)) => {
                Err(PolicyError::at(self.spot, format!("{plain} and {negated} exclude one another")))
            }
            (None, None) if wanted => {
                Err(PolicyError::at(self.spot, format!("{plain} or {negated} is missing")))
            }
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) if !wanted => {
                let name = if self.get(plain).is_some() { plain } else { negated };
                Err(PolicyError::at(&self.spot.member(name), "a policy of this form has no such element"))
            }
            (Some(tree), None) => Ok(Some((tree, false, plain))),
            (None, Some(tree)) => Ok(Some((tree, true, negated))),
        }
    }
}
