use std::collections::HashMap;
use std::time::Duration;

use ddp_server::ejson::{Fields, Value};
use ddp_server::{Connection, fields, object, random_id};

use super::options::{NewUser, Who};
use super::password::Hash;
use super::tokens::{Token, TokenHash, hash};

/// Users, their tokens, and the connections that use them.
#[derive(Default)]
pub(super) struct Store {
    users: HashMap<String, User>,
    tokens: HashMap<TokenHash, Login>,
    connections: HashMap<String, (Connection, TokenHash)>,
}

struct Login {
    user: String,
    expires: Duration,
}

#[derive(Clone)]
pub(super) struct User {
    pub(super) id: String,
    username: Option<String>,
    email: Option<String>,
    profile: Option<Value>,
    pub(super) password: Option<Hash>,
}

impl User {
    /// What is published.
    pub(super) fn document(&self) -> Fields {
        let mut document = fields! {};
        if let Some(username) = &self.username {
            document.insert("username".to_owned(), username.into());
        }
        if let Some(email) = &self.email {
            let email = object! { "address": email, "verified": false };
            document.insert("emails".to_owned(), vec![email].into());
        }
        if let Some(profile) = &self.profile {
            document.insert("profile".to_owned(), profile.clone());
        }
        document
    }
}

impl Store {
    /// Exactly this user, or the only one that is the same but for case.
    pub(super) fn find(&self, who: &Who) -> Option<&User> {
        match who {
            Who::Id(id) => self.users.get(id),
            Who::Username(name) => self.find_by(name, |user| user.username.as_deref()),
            Who::Email(email) => self.find_by(email, |user| user.email.as_deref()),
        }
    }

    pub(super) fn user_mut(&mut self, id: &str) -> Option<&mut User> {
        self.users.get_mut(id)
    }

    /// What of a new user another one has already.
    pub(super) fn taken(&self, new: &NewUser) -> Option<&'static str> {
        let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => a.to_lowercase() == b.to_lowercase(),
            _ => false,
        };
        let mut users = self.users.values();
        users.find_map(|user| {
            let username = same(&user.username, &new.username);
            let email = same(&user.email, &new.email);
            let email = email.then_some("Email already exists.");
            username.then_some("Username already exists.").or(email)
        })
    }

    pub(super) fn insert(&mut self, new: NewUser) -> User {
        let user = User {
            id: random_id(),
            username: new.username,
            email: new.email,
            profile: new.profile,
            password: new.password.map(|password| password.hash()),
        };
        self.users.insert(user.id.clone(), user.clone());
        user
    }

    pub(super) fn token_owner(&self, secret: &str) -> Option<(String, Duration)> {
        let login = self.tokens.get(&hash(secret))?;
        Some((login.user.clone(), login.expires))
    }

    /// When the token that a connection uses expires.
    pub(super) fn expiry(&self, connection: &str) -> Option<Duration> {
        let (_, token) = self.connections.get(connection)?;
        self.tokens.get(token).map(|login| login.expires)
    }

    /// The connection uses this token from now on.
    pub(super) fn bind(&mut self, connection: &Connection, user: &str, token: &Token) {
        let login = Login {
            user: user.to_owned(),
            expires: token.expires,
        };
        self.tokens.insert(token.hash(), login);
        self.connections
            .retain(|_, (connection, _)| !connection.is_closed());
        let key = connection.id().to_owned();
        self.connections
            .insert(key, (connection.clone(), token.hash()));
    }

    /// The connection logs out: its token is worth nothing any more.
    pub(super) fn forget_connection(&mut self, connection: &str) {
        if let Some((_, token)) = self.connections.remove(connection) {
            self.tokens.remove(&token);
            self.close_homeless();
        }
    }

    /// All tokens of a user but that of this connection are worth nothing any more.
    pub(super) fn forget_others(&mut self, user: &str, connection: &str) {
        let own = self.connections.get(connection).map(|(_, token)| *token);
        let stays = |token: &TokenHash, login: &Login| login.user != user || Some(*token) == own;
        self.tokens.retain(|token, login| stays(token, login));
        self.close_homeless();
    }

    /// Closes connections whose token is gone.
    fn close_homeless(&mut self) {
        let tokens = &self.tokens;
        let gone =
            |_: &String, (_, token): &mut (Connection, TokenHash)| !tokens.contains_key(token);
        for (_, (connection, _)) in self.connections.extract_if(gone) {
            connection.close();
        }
    }

    fn find_by(&self, wanted: &str, of: fn(&User) -> Option<&str>) -> Option<&User> {
        let exact = self.users.values().find(|user| of(user) == Some(wanted));
        exact.or_else(|| {
            let wanted = wanted.to_lowercase();
            let same = |user: &&User| of(user).is_some_and(|it| it.to_lowercase() == wanted);
            let mut similar = self.users.values().filter(same);
            similar.next().filter(|_| similar.next().is_none())
        })
    }
}
