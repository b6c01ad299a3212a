use ddp_server::Error;
use ddp_server::ejson::{Fields, Value};

use super::password::Password;

/// What a client logs in with.
pub(super) enum Login {
    Resume(String),
    Password(Who, Password),
}

/// Whom a client claims to be.
pub(super) enum Who {
    Id(String),
    Username(String),
    Email(String),
}

/// What a user is made of.
pub(super) struct NewUser {
    pub(super) username: Option<String>,
    pub(super) email: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) profile: Option<Value>,
}

impl Login {
    pub(super) fn read(options: Option<&Value>) -> Result<Self, Error> {
        let options = object(options)?;
        if let Some(token) = options.get("resume") {
            let token = token.as_str().ok_or_else(Error::match_failed)?;
            return Ok(Self::Resume(token.to_owned()));
        }
        let Some(password) = options.get("password") else {
            return Err(Error::new(400, "Unrecognized options for login request"));
        };
        let known = |key: &String| ["user", "password", "code"].contains(&key.as_str());
        if !options.keys().all(known) {
            return Err(Error::match_failed());
        }
        let user = Who::read(object(options.get("user"))?)?;
        Ok(Self::Password(user, Password::read(password)?))
    }
}

impl Who {
    /// Exactly one way to find a user.
    fn read(user: &Fields) -> Result<Self, Error> {
        let only = user.first().filter(|_| user.len() == 1);
        let (key, value) = only.ok_or_else(Error::match_failed)?;
        let value = value.as_str().filter(|value| !value.is_empty());
        let value = value.ok_or_else(Error::match_failed)?.to_owned();
        match key.as_str() {
            "id" => Ok(Self::Id(value)),
            "username" => Ok(Self::Username(value)),
            "email" => Ok(Self::Email(value)),
            _ => Err(Error::match_failed()),
        }
    }
}

impl NewUser {
    pub(super) fn read(options: Option<&Value>) -> Result<Self, Error> {
        let options = object(options)?;
        let password = options.get("password");
        Ok(Self {
            username: text(options, "username")?,
            email: text(options, "email")?,
            password: password.map(Password::read).transpose()?,
            profile: options.get("profile").cloned(),
        })
    }
}

fn object(value: Option<&Value>) -> Result<&Fields, Error> {
    value
        .and_then(Value::as_object)
        .ok_or_else(Error::match_failed)
}

fn text(options: &Fields, key: &str) -> Result<Option<String>, Error> {
    match options.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::match_failed()),
    }
}
