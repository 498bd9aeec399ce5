//! `OpenID` Connect providers of an account: whose tokens its roles may trust. Source: IAM's API reference and API model.
//!
//! A provider is known by its URL without the scheme, which its ARN ends in. Thumbprints are kept and shown, and nothing is decided by them.

use super::change::{Change, again};
use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::oidc::{Issuer, is_name};
use super::row::{Count, of, put_tags, tags};
use super::view::View;
use super::{Identities, NewProvider, Provider, Tag, limit, name};
use crate::AccountId;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Family, Key, Table};
use engine::clock::Timestamp;

// Second factors and password policies have those before.
pub(super) const PROVIDERS: Table = Table { family: Family::Index, tag: 0xAB };

/// By its name: `login.example/realms/ml`.
pub(super) fn provider(account: AccountId, name: &str) -> Key {
    PROVIDERS.key(of(account).tail(name.as_bytes()).finish())
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProviderRow {
    /// With its scheme.
    pub(super) url: Box<str>,
    pub(super) created: Timestamp,
    pub(super) clients: Vec<Box<str>>,
    pub(super) thumbprints: Vec<Box<str>>,
    pub(super) tags: Vec<Tag>,
}

impl Record for ProviderRow {
    const NAME: &'static str = "OIDC provider";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.text(&self.url).i64(self.created.as_millis());
        for list in [&self.clients, &self.thumbprints] {
            out.count(list.len());
            for text in list {
                out.text(text);
            }
        }
        put_tags(out, &self.tags);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let (url, created) = (fields.text()?.into(), Timestamp::from_millis(fields.i64()?));
        let (clients, thumbprints) = (super::token::texts(fields)?, super::token::texts(fields)?);
        Ok(Self { url, created, clients, thumbprints, tags: tags(fields)? })
    }
}

/// The ARN of a provider of this name.
pub(super) fn arn(account: AccountId, name: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{name}")
}

fn absent(what: &str) -> IdentityError {
    let message = format!("OpenIDConnect Provider not found for arn {what}");
    IdentityError::new(Code::NoSuchEntity, message)
}

fn invalid(message: impl Into<String>) -> IdentityError {
    IdentityError::new(Code::InvalidInput, message)
}

/// The name in a provider's ARN. Another account's is none.
fn named(account: AccountId, arn: &str) -> Result<&str> {
    let not_one = || invalid(format!("Invalid ARN: {arn}: arn:aws:iam::ACCOUNT:oidc-provider/URL is wanted"));
    let rest = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":oidc-provider/"));
    let (of, name) = rest.filter(|(_, name)| is_name(name)).ok_or_else(not_one)?;
    let of: AccountId = of.parse().map_err(|_| not_one())?;
    if of == account { Ok(name) } else { Err(absent(arn)) }
}

fn check_client(client: &str) -> Result<()> {
    let fits = (1..=255).contains(&client.chars().count()) && !client.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(invalid("A client ID has 1 to 255 characters, and no control characters."))
    }
}

/// So many, of so many bytes, fit a row.
fn check_clients(clients: &[Box<str>]) -> Result<()> {
    if clients.len() > limit::CLIENTS {
        return Err(IdentityError::over("ClientIdsPerOpenIdConnectProvider", limit::CLIENTS));
    }
    if clients.iter().map(|client| client.len()).sum::<usize>() > limit::CLIENT_BYTES {
        return Err(IdentityError::over("bytes of client IDs", limit::CLIENT_BYTES));
    }
    Ok(())
}

fn check_thumbprints(thumbprints: &[&str]) -> Result<()> {
    let is_one = |text: &&&str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if thumbprints.len() > limit::THUMBPRINTS {
        let message = format!("Thumbprint list must contain fewer than {} entries.", limit::THUMBPRINTS + 1);
        return Err(invalid(message));
    }
    if thumbprints.iter().filter(is_one).count() != thumbprints.len() {
        return Err(invalid("A thumbprint has 40 hexadecimal digits."));
    }
    Ok(())
}

fn boxed(texts: &[&str]) -> Vec<Box<str>> {
    texts.iter().map(|text| Box::from(*text)).collect()
}

impl View {
    async fn provider(&self, name: &str) -> Result<Option<ProviderRow>> {
        self.get(provider(self.account, name)).await
    }
}

impl Change {
    /// A provider that the change rests on.
    async fn resting_provider(&mut self, arn: &str) -> Result<ProviderRow> {
        let name = named(self.account, arn)?;
        let row = self.provider(name).await?.ok_or_else(|| absent(arn))?;
        self.unchanged(provider(self.account, name));
        Ok(row)
    }
}

impl Identities {
    /// Makes a provider; its ARN. Nobody is asked.
    pub async fn create_provider(&self, account: AccountId, new: NewProvider<'_>) -> Result<String> {
        name::check_tags(new.tags)?;
        check_thumbprints(new.thumbprints)?;
        let mut clients = Vec::new();
        for client in new.clients {
            check_client(client)?;
            if !clients.contains(client) {
                clients.push(client);
            }
        }
        let clients = boxed(&clients);
        check_clients(&clients)?;
        let (name, created) = (new.issuer.name(), self.parts.clock.now());
        let row = ProviderRow {
            url: new.issuer.url().into(),
            created,
            clients,
            thumbprints: boxed(new.thumbprints),
            tags: new.tags.to_vec(),
        };
        again(|| async {
            let mut change = self.change(account).await?;
            if change.provider(name).await?.is_some() {
                let message = format!("Provider with url {} already exists.", new.issuer.url());
                return Err(IdentityError::new(Code::EntityAlreadyExists, message));
            }
            change.absent(provider(account, name));
            change.put(provider(account, name), &row);
            let quota = ("OpenIdConnectProvidersPerAccount", limit::PROVIDERS);
            change.add(Count::Providers, EntityId::ROOT, 1, Some(quota));
            self.apply(change).await
        })
        .await?;
        Ok(arn(account, name))
    }

    /// A provider, by its ARN.
    pub async fn provider(&self, account: AccountId, arn: &str) -> Result<Provider> {
        let name = named(account, arn)?;
        let row = self.view(account).await?.provider(name).await?.ok_or_else(|| absent(arn))?;
        let texts = |list: Vec<Box<str>>| list.into_iter().map(String::from).collect();
        Ok(Provider {
            arn: arn.to_owned(),
            name: name.to_owned(),
            created: row.created,
            clients: texts(row.clients),
            thumbprints: texts(row.thumbprints),
            tags: row.tags,
        })
    }

    /// The ARNs of all providers.
    pub async fn providers(&self, account: AccountId) -> Result<Vec<String>> {
        let prefix = of(account).finish();
        let rows = self.view(account).await?.all(PROVIDERS, &prefix).await?;
        let name =
            |key: &[u8]| String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
        Ok(rows.iter().map(|(key, _)| arn(account, &name(key))).collect())
    }

    /// Ends a provider: tokens of its issuer make no more sessions. Those that are last until they end.
    pub async fn delete_provider(&self, account: AccountId, arn: &str) -> Result<()> {
        let name = named(account, arn)?;
        again(|| async {
            let mut change = self.change(account).await?;
            change.resting_provider(arn).await?;
            change.delete(provider(account, name));
            change.add(Count::Providers, EntityId::ROOT, -1, None);
            self.apply(change).await
        })
        .await
    }

    /// Takes tokens for one more client. One that is there already stays.
    pub async fn add_client(&self, account: AccountId, arn: &str, client: &str) -> Result<()> {
        check_client(client)?;
        self.change_provider(account, arn, |row| {
            if row.clients.iter().any(|known| **known == *client) {
                return Ok(());
            }
            row.clients.push(client.into());
            check_clients(&row.clients)
        })
        .await
    }

    /// Takes no more tokens for a client. One that is not there is passed over.
    pub async fn remove_client(&self, account: AccountId, arn: &str, client: &str) -> Result<()> {
        self.change_provider(account, arn, |row| {
            row.clients.retain(|known| **known != *client);
            Ok(())
        })
        .await
    }

    /// Sets all thumbprints.
    pub async fn set_thumbprints(&self, account: AccountId, arn: &str, thumbprints: &[&str]) -> Result<()> {
        check_thumbprints(thumbprints)?;
        self.change_provider(account, arn, |row| {
            row.thumbprints = boxed(thumbprints);
            Ok(())
        })
        .await
    }

    /// Sets tags of a provider, or takes them away.
    pub async fn retag_provider(
        &self,
        account: AccountId,
        arn: &str,
        (tags, untagged): (&[Tag], &[&str]),
    ) -> Result<()> {
        name::check_tags(tags)?;
        let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
        self.change_provider(account, arn, |row| {
            row.tags.retain(|tag| !untagged.iter().any(|key| same(key, &tag.key)));
            for tag in tags {
                match row.tags.iter_mut().find(|known| same(&known.key, &tag.key)) {
                    Some(known) => *known = tag.clone(),
                    None => row.tags.push(tag.clone()),
                }
            }
            name::check_tags_size(&row.tags)
        })
        .await
    }

    async fn change_provider(
        &self,
        account: AccountId,
        arn: &str,
        change_row: impl Fn(&mut ProviderRow) -> Result<()> + Sync,
    ) -> Result<()> {
        let (name, change_row) = (named(account, arn)?, &change_row);
        again(|| async move {
            let mut change = self.change(account).await?;
            let mut row = change.resting_provider(arn).await?;
            change_row(&mut row)?;
            change.put(provider(account, name), &row);
            self.apply(change).await
        })
        .await
    }

    /// The provider of an account whose issuer that is: its URL and its clients.
    pub(super) async fn provider_of(
        &self,
        account: AccountId,
        url: &str,
    ) -> Result<Option<(Issuer, Vec<Box<str>>)>> {
        let Ok(issuer) = Issuer::parse(url) else { return Ok(None) };
        let row = self.view(account).await?.provider(issuer.name()).await?;
        Ok(row.filter(|row| *row.url == *issuer.url()).map(|row| (issuer, row.clients)))
    }
}
