use std::fmt;

use ddp_protocol::ejson::{Date, Value};
use ddp_protocol::object;
use sha2::{Digest as _, Sha256};

/// Who logs in. A text with an `@` is an e-mail address, another one a user name, as in Meteor's
/// `loginWithPassword`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// By name.
    Username(String),
    /// By e-mail address.
    Email(String),
    /// By id.
    Id(String),
}

impl From<&str> for User {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for User {
    fn from(text: String) -> Self {
        if text.contains('@') {
            Self::Email(text)
        } else {
            Self::Username(text)
        }
    }
}

impl User {
    fn into_value(self) -> Value {
        match self {
            Self::Username(name) => object! { "username": name },
            Self::Email(address) => object! { "email": address },
            Self::Id(id) => object! { "id": id },
        }
    }
}

/// What a login has brought.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Login {
    /// The user that is logged in.
    pub user_id: String,
    /// With this the client, or another one, can log in again.
    pub token: Option<Token>,
    /// Until when the token is good.
    pub token_expires: Option<Date>,
}

impl Login {
    /// Reads the result of the method `login`.
    pub(crate) fn read(result: &Value) -> Option<Self> {
        let text = |key| result.get(key).and_then(Value::as_str);
        Some(Self {
            user_id: text("id")?.to_owned(),
            token: text("token").map(|token| Token(token.to_owned())),
            token_expires: result.get("tokenExpires").and_then(Value::as_date),
        })
    }
}

/// A secret that logs in. It shows itself only to who asks for it by [`secret`](Self::secret).
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token itself.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self(token.to_owned())
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The options of `login` for a password. It travels as its digest, as from Meteor's clients.
pub(crate) fn by_password(user: User, password: &str) -> Value {
    let digest = Sha256::digest(password.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    object! {
        "user": user.into_value(),
        "password": object! { "digest": hex, "algorithm": "sha-256" },
    }
}

/// The options of `login` for a token.
pub(crate) fn by_token(token: &Token) -> Value {
    object! { "resume": token.secret() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_travel_as_meteors_digest() {
        let expected = object! {
            "user": object! { "username": "ada" },
            "password": object! {
                "digest": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
                "algorithm": "sha-256",
            },
        };
        assert_eq!(by_password("ada".into(), "password"), expected);
        assert_eq!(User::from("a@b.c"), User::Email("a@b.c".into()));
    }

    #[test]
    fn tokens_do_not_show_up_in_debug_output() {
        let result = object! { "id": "u", "token": "secret" };
        let login = Login::read(&result).unwrap();
        assert_eq!(login.token.as_ref().map(Token::secret), Some("secret"));
        assert!(!format!("{login:?}").contains("secret"));
        assert_eq!(Login::read(&object! { "token": "secret" }), None);
    }
}
